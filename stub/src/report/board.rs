//! A plan as a page for those who approve it, in Markdown or HTML: the summary first, then every path.
//! What is in the plan is told in `text.rs`; who writes the page where is in `command/report.rs`.

use std::fmt::Write as _;

use payload::printable;

use super::evidence::PlanLines;

/// Tells a page of this program from anybody else's file.
const MARK: &str = "airgap-deploy plan";

/// What stands above the plan: a name and a value in each row.
pub type Rows = Vec<(&'static str, String)>;

/// How a page is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Page {
    Markdown,
    Html,
}

impl Page {
    /// The page; without a plan, why there is none.
    pub fn of(self, title: &str, rows: &Rows, plan: Option<&PlanLines>, why_not: &str) -> String {
        let none = || vec![why_not.to_owned()];
        let sections = match plan {
            Some(plan) => vec![("Summary", plan.summary.clone()), ("Every path", plan.every_path.clone())],
            None => vec![("There is no plan", none())],
        };
        match self {
            Self::Markdown => markdown(title, rows, &sections),
            Self::Html => html(title, rows, &sections),
        }
    }

    /// Whether a file is such a page.
    pub fn is_one(bytes: &[u8]) -> bool {
        let head = String::from_utf8_lossy(&bytes[..bytes.len().min(256)]).into_owned();
        head.starts_with(&format!("<!-- {MARK} -->"))
            || head.contains(&format!("<meta name=\"generator\" content=\"{MARK}\""))
    }
}

fn markdown(title: &str, rows: &Rows, sections: &[(&str, Vec<String>)]) -> String {
    let mut page = format!("<!-- {MARK} -->\n# {}\n\n| | |\n|---|---|\n", in_markdown(title));
    for (name, value) in rows {
        let _to_a_string = writeln!(page, "| {name} | {} |", in_markdown(value));
    }
    for (heading, lines) in sections {
        let text = lines.join("\n");
        // Nothing in the text may end the block that it stands in.
        let fence = "`".repeat(longest_run(&text).max(2) + 1);
        let _to_a_string = write!(page, "\n## {heading}\n\n{fence}text\n{text}\n{fence}\n");
    }
    page
}

fn longest_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

/// Text that stands for itself in Markdown: also what would be markup there, or HTML.
fn in_markdown(text: &str) -> String {
    let mut escaped = String::new();
    for c in printable(text).chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            c if c.is_ascii_punctuation() && !"-.,:/()".contains(c) => escaped.extend(['\\', c]),
            c => escaped.push(c),
        }
    }
    escaped
}

const STYLE: &str = "body{font:15px/1.4 sans-serif;max-width:60em;margin:2em auto;padding:0 1em}\
th{text-align:left;padding-right:1em;vertical-align:top;font-weight:normal;color:#555}\
td{overflow-wrap:anywhere}pre{font:13px/1.35 monospace;white-space:pre-wrap;overflow-wrap:anywhere;\
border-left:3px solid #ccc;padding-left:1em}@media print{body{margin:0;max-width:none}}";

fn html(title: &str, rows: &Rows, sections: &[(&str, Vec<String>)]) -> String {
    let title = in_html(title);
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"generator\" content=\"{MARK}\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n<style>{STYLE}</style>\n\
         </head>\n<body>\n<h1>{title}</h1>\n<table>\n"
    );
    for (name, value) in rows {
        let _to_a_string = writeln!(page, "<tr><th>{name}</th><td>{}</td></tr>", in_html(value));
    }
    page.push_str("</table>\n");
    for (heading, lines) in sections {
        let _to_a_string = write!(page, "<h2>{heading}</h2>\n<pre>{}</pre>\n", in_html_lines(lines));
    }
    page.push_str("</body>\n</html>\n");
    page
}

fn in_html_lines(lines: &[String]) -> String {
    lines.iter().map(|line| in_html(line)).collect::<Vec<_>>().join("\n")
}

fn in_html(text: &str) -> String {
    let mut escaped = String::new();
    for c in printable(text).chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_package_is_markup_on_a_page() {
        let hostile = "<script>x</script> [a](b) |\n# `````` \u{1b}[31m";
        let lines = PlanLines { summary: vec!["```` ends the block".to_owned()], every_path: vec![hostile.to_owned()] };
        let rows = vec![("Package", hostile.to_owned())];
        let html = Page::Html.of(hostile, &rows, Some(&lines), "");
        assert!(!html.contains("<script") && !html.contains('\u{1b}'), "{html}");
        let markdown = Page::Markdown.of(hostile, &rows, Some(&lines), "");
        let (head, body) = markdown.split_once("## Summary").unwrap();
        assert!(!head.contains("<script") && head.contains(r"\[a\](b) \|"), "{head}");
        assert!(body.contains("`````text\n```` ends the block\n`````\n"), "{body}");
        assert!(Page::is_one(html.as_bytes()) && Page::is_one(markdown.as_bytes()) && !Page::is_one(b"<html>"));
    }
}
