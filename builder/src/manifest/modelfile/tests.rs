//! Modelfiles as people write them, and what is said about their mistakes.
//! That the real Ollama reads the same from them is tested by `tests/tests/modelfile.rs`.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn wrong(text: &str) -> (usize, String) {
    let problem = parse(text).unwrap_err().remove(0);
    (problem.line, format!("{}; {}", problem.what, problem.help.unwrap_or_default()))
}

#[test]
fn every_command_is_read() {
    let text = "# a comment\r\nfrom ./m.gguf\n\nFROM ./mmproj.gguf\nADAPTER  ./a.gguf\nTEMPLATE \"\"\"{{ .System }}\n{{ .Prompt }}\"\"\"\n\
                SYSTEM \"\"\"\nYou say \"yes\".\n\"\"\"\nPARAMETER stop \"<|end|>\"\nPARAMETER stop  AI assistant:\n\
                PARAMETER temperature 0.7\nPARAMETER num_ctx 4096\nPARAMETER use_mmap false\nPARAMETER mirostat 1\n\
                MESSAGE user Is Toronto in Canada?\nMESSAGE assistant \"\"\"yes\nit is\"\"\"\nLICENSE MIT\nLICENSE \"\"\"two\"\"\"\n\
                RENDERER r\nPARSER p\nREQUIRES v0.14.0";
    let file = parse(text).unwrap();
    assert_eq!(file.from, ["./m.gguf", "./mmproj.gguf"]);
    assert_eq!(file.adapter.as_deref(), Some("./a.gguf"));
    assert_eq!(file.template.as_deref(), Some("{{ .System }}\n{{ .Prompt }}"));
    assert_eq!(file.system.as_deref(), Some("\nYou say \"yes\".\n"));
    let params = json!({"stop": ["<|end|>", "AI assistant:"], "temperature": 0.7, "num_ctx": 4096, "use_mmap": false});
    assert_eq!(Value::Object(file.params), params);
    let messages = [("user", "Is Toronto in Canada?"), ("assistant", "yes\nit is")];
    assert_eq!(file.messages, messages.map(|(role, text)| (role.to_owned(), text.to_owned())));
    assert_eq!((file.license, file.ignored), (vec!["MIT".to_owned(), "two".to_owned()], vec!["mirostat".to_owned()]));
    let said = [file.renderer, file.parser, file.requires].map(Option::unwrap);
    assert_eq!(said, ["r", "p", "0.14.0"]);
}

#[test]
fn the_last_word_counts_and_an_empty_one_says_nothing() {
    let file = parse("FROM a\nSYSTEM one\nSYSTEM two\nSYSTEM \"\"\nTEMPLATE \"\"\"\"\"\"\n").unwrap();
    assert_eq!((file.system.as_deref(), file.template), (Some("two"), None));
    assert_eq!(parse("FROM m\nPARAMETER top_p 0.123456789").unwrap().params["top_p"], json!(0.123_456_79));
    assert_eq!(parse("FROM m\nSYSTEM a\tb  \u{200b}c ").unwrap().system.as_deref(), Some("a\tb  c"));
}

#[test]
fn mistakes_are_named_with_their_line() {
    for (text, line, words) in [
        ("FROM m\n\nFORM x\n", 3, "\"FORM\" is no command of a Modelfile; possible: FROM, ADAPTER"),
        ("FROM m\nSYSTEM \"\"\"open\nPARAMETER top_k 1\n", 2, "quotes are not closed"),
        ("FROM m\nTEMPLATE\n", 2, "TEMPLATE has no value"),
        ("FROM m\nPARAMETER stop\n", 2, "it has no value"),
        ("FROM", 1, "it has no value"),
        ("FROM ./m\nPARAMETER temprature 1\n", 2, "no parameter \"temprature\"; did you mean \"temperature\"?"),
        ("FROM m\n# x\nPARAMETER num_ctx many\n", 3, "\"many\" is no value of num_ctx; it must be a whole number"),
        ("FROM m\nPARAMETER temperature NaN\n", 2, "it must be a number"),
        ("FROM m\nMESSAGE tool x\n", 2, "\"tool\" is no role of a message"),
        ("FROM m\nREQUIRES latest\n", 2, "\"latest\" is no release of Ollama"),
        ("SYSTEM x\n", 1, "it has no FROM"),
        ("FROM \"\"\n", 1, "FROM has no value"),
        ("", 1, "it has no FROM"),
        ("FROM m\nYou are a pirate.\n", 2, "\"You\" is no command"),
    ] {
        let (at, said) = wrong(text);
        assert!(at == line && said.contains(words), "{text:?}: line {at}: {said}");
    }
    let all = parse("FROM m\nPARAMETER a 1\nPARAMETER top_k x\n").unwrap_err();
    assert_eq!(all.iter().map(|problem| problem.line).collect::<Vec<_>>(), [2, 3]);
}

proptest! {
    #[test]
    fn no_text_panics(text in "(FROM|PARAMETER|SYSTEM|MESSAGE|\"\"\"|\"|stop|user|#|\n|\r| |\t|[a-z0-9.])*") {
        if let Err(problems) = parse(&text) {
            let lines = text.matches('\n').count() + 1;
            prop_assert!(!problems.is_empty() && problems.iter().all(|problem| (1..=lines).contains(&problem.line)));
        }
    }
}
