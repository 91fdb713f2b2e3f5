//! A template becomes a file: `@name@` is replaced by its value, once; and text of anybody's becomes harmless text.
//! Which values there are is said in `template.rs`.

/// What linters take for a long line.
const WIDTH: usize = 80;

/// Replaces every `@name@` that has a value. Values are never looked into again.
pub(crate) fn file(template: &str, values: &[(String, String)]) -> String {
    let mut text = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, behind)) = rest.split_once('@') {
        text.push_str(before);
        let value = behind.split_once('@').and_then(|(name, after)| {
            let (_, value) = values.iter().find(|(known, _)| known == name)?;
            Some((value, after))
        });
        if let Some((value, after)) = value {
            text.push_str(value);
            rest = after;
        } else {
            text.push('@');
            rest = behind;
        }
    }
    text.push_str(rest);
    let yaml = text.contains("\n---\n");
    if yaml && text.lines().any(|line| line.chars().count() > WIDTH) {
        // The name of the package is as long as it is.
        text.insert_str(0, "# yamllint disable rule:line-length\n");
    }
    text
}

/// Text of anybody's on one line, in which nothing means anything to YAML, Jinja or Markdown.
pub(crate) fn one_line(text: &str) -> String {
    let harmless = |letter: char| match letter {
        letter if letter.is_ascii_alphanumeric() || " .,;()/+-".contains(letter) => letter,
        letter if letter.is_alphabetic() => letter,
        _ => ' ',
    };
    let line: String = text.chars().map(harmless).collect();
    let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.is_empty() { "A package for hosts without a network".to_owned() } else { line }
}

/// Texts of anybody's as a list of YAML, which takes what JSON writes; each with the tag that keeps Jinja from looking into it.
pub(crate) fn list<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    let quoted = texts.map(|text| format!("!unsafe {}", serde_json::Value::from(text)));
    format!("[{}]", quoted.collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_put_in_once() {
        let values = [("a".to_owned(), "@b@".to_owned()), ("b".to_owned(), "two".to_owned())];
        assert_eq!(file("@a@ @b@ x@y.z @c@ @", &values), "@b@ two x@y.z @c@ @");
    }

    #[test]
    fn a_list_of_texts_means_nothing_to_anybody() {
        assert_eq!(list(["a", "{{ x }} \"\n"].into_iter()), r#"[!unsafe "a", !unsafe "{{ x }} \"\n"]"#);
    }

    #[test]
    fn text_of_a_manifest_means_nothing_to_anybody() {
        assert_eq!(one_line("{{ lookup('pipe', 'id') }}\n: # \u{1b}[1m*x*"), "lookup( pipe , id ) 1m x");
        assert_eq!(one_line("{}"), "A package for hosts without a network");
    }
}
