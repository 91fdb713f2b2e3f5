//! JSON as Go's encoder writes it: compact, fields in a given order, `<`, `>` and `&` escaped.
//! Digests depend on every byte of it, hence no other encoder.

use serde_json::Value;

/// An object with its fields in this order; the values are JSON already.
pub(super) fn object(fields: &[(&str, String)]) -> String {
    let fields: Vec<String> = fields.iter().map(|(name, value)| format!("{}:{value}", text(name))).collect();
    format!("{{{}}}", fields.join(","))
}

pub(super) fn array(values: impl Iterator<Item = String>) -> String {
    format!("[{}]", values.collect::<Vec<_>>().join(","))
}

pub(super) fn text(text: &str) -> String {
    let mut escaped = String::new();
    for c in Value::from(text).to_string().chars() {
        match c {
            '<' => escaped.push_str("\\u003c"),
            '>' => escaped.push_str("\\u003e"),
            '&' => escaped.push_str("\\u0026"),
            '\u{2028}' => escaped.push_str("\\u2028"),
            '\u{2029}' => escaped.push_str("\\u2029"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// Any value, keys sorted.
pub(super) fn value(any: &Value) -> String {
    match any {
        Value::Object(fields) => {
            let mut fields: Vec<(&str, String)> =
                fields.iter().map(|(name, field)| (name.as_str(), value(field))).collect();
            fields.sort_unstable();
            object(&fields)
        }
        Value::Array(values) => array(values.iter().map(value)),
        Value::String(string) => text(string),
        Value::Number(number) => self::number(number),
        Value::Null | Value::Bool(_) => any.to_string(),
    }
}

/// Go has one kind of number here: `1.0` is written `1`.
fn number(number: &serde_json::Number) -> String {
    match number.as_f64() {
        Some(float) if number.is_f64() && (float == 0.0 || (1e-6..1e21).contains(&float.abs())) => format!("{float}"),
        _ => number.to_string(),
    }
}
