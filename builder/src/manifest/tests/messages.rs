//! What is said about mistakes: some drawn in full, the others by their message.
//! Messages are what people work with: a change here is a change of the product.

use super::*;

fn drawn(text: &str) -> String {
    read(text).map_or_else(|errors| errors.render(false), |parsed| parsed.render_warnings(false))
}

const CONFIG: &str = "[[components]]\ntype = \"config-file\"\nname = \"c\"\ncontent = \"x\"\ninstall_path = \"c\"\n";
const MODEL: &str = "[[components]]\ntype = \"model-file\"\nname = \"m\"\ninstall_path = \"m.gguf\"\n";

#[test]
fn an_unknown_key_is_drawn_with_a_suggestion() {
    assert_eq!(
        drawn(&with(&CONFIG.replace("install_path", "instal_path"))),
        "error: unknown key `instal_path` in [[components]]
  --> dir/AirGapDeploy.toml:11:1
   |
11 | instal_path = \"c\"
   | ^^^^^^^^^^^ not known here
   |
   = help: did you mean \"install_path\"?
"
    );
}

#[test]
fn a_misspelt_key_or_table_is_not_reported_as_missing_too() {
    let text = with(CONFIG)
        .replace("[package]", "[pakage]")
        .replace("[[components]]", "[[component]]")
        .replace("prefix", "prefx");
    assert_eq!(
        messages(&text),
        [
            "unknown key `pakage` in the manifest",
            "unknown key `prefx` in [install]",
            "unknown key `component` in the manifest"
        ]
    );
    let text = with(CONFIG).replace("type =", "typ =");
    assert_eq!(messages(&text), ["unknown key `typ` in [[components]]"]);
    let text = with(MODEL).replace("install_path", "mode");
    assert!(messages(&text).contains(&"`source` is missing".to_owned()), "{:?}", messages(&text));
}

#[test]
fn a_placeholder_checksum_is_drawn_with_its_length() {
    let text = USE_CASE.replace("def456...", &"0".repeat(64));
    assert_eq!(
        drawn(&text),
        "error: the checksum is not 64 hexadecimal digits
  --> dir/AirGapDeploy.toml:29:19
   |
29 | source.checksum = \"sha256:abc123...\"
   |                   ^^^^^^^^^^^^^^^^^^ \"abc123...\" is 9 characters long
   |
   = help: write \"sha256:\" and the 64 digits that the publisher states, or that `sha256sum FILE` prints
"
    );
}

#[test]
fn duplicates_are_drawn_with_both_places() {
    let text = with(
        &(CONFIG.to_owned()
            + &CONFIG.replace("\"c\"", "\"d\"").replace("install_path = \"d\"", "install_path = \"c\"")),
    );
    assert_eq!(
        drawn(&text),
        "error: two components are installed at /opt/ollama/c
  --> dir/AirGapDeploy.toml:16:16
   |
11 | install_path = \"c\"
   |                --- here first
...
16 | install_path = \"c\"
   |                ^^^ here again
"
    );
}

#[test]
fn a_wrong_type_and_a_syntax_error_are_drawn_together() {
    let text = with(CONFIG).replace("\"1\"", "1.0").replace("\"x\"", "x");
    assert_eq!(
        drawn(&text),
        "error: `version` must be a string, not a float
 --> dir/AirGapDeploy.toml:3:11
  |
3 | version = 1.0
  |           ^^^ this is a float
  |
  = help: write it as a string: \"1.0\"

error: not valid TOML: strings stand between quotes
  --> dir/AirGapDeploy.toml:10:11
   |
10 | content = x
   |           ^
   |
   = help: write \"x\"
"
    );
}

#[test]
fn bytes_that_are_not_text_are_named() {
    let errors = parse(Path::new("m.toml"), b"[package]\nname = \"\xe9\"\n", Arch::X86_64).unwrap_err();
    assert_eq!(
        errors.render(false),
        "error: the manifest is not UTF-8 text
 --> m.toml:2:9
  |
2 | name = \"\u{fffd}\"
  |         ^ the byte 0xe9 has no meaning here
  |
  = help: save the file as UTF-8
"
    );
}

#[test]
fn colour_appears_only_when_asked_for() {
    let errors = read(USE_CASE).unwrap_err();
    assert!(errors.render(true).contains('\u{1b}') && !errors.render(false).contains('\u{1b}'));
}

#[test]
fn programs_get_place_message_and_help() {
    let json = serde_json::to_value(read(USE_CASE).unwrap_err()).unwrap();
    assert_eq!(json[0]["file"], "dir/AirGapDeploy.toml");
    assert_eq!((json[0]["line"].as_u64(), json[0]["column"].as_u64()), (Some(29), Some(19)));
    assert_eq!(json[0]["severity"], "error");
    assert_eq!(json[0]["message"], "the checksum is not 64 hexadecimal digits");
    assert!(json[0]["help"].as_str().unwrap().contains("sha256sum"));
}

#[test]
fn syntax_errors_say_what_to_write() {
    let said = |line: &str| drawn(&with(&format!("{CONFIG}{line}\n")));
    assert!(said("mode = 0755").contains("help: write a file mode as a string: \"0755\""));
    assert!(said("mode = ").contains("not valid TOML: the value is missing"));
    assert!(said("name = \"e\"").contains("`name` is given twice"));
    assert!(said("owner = [\"a\",\ngroup = \"b\"").contains("not valid TOML: this is not closed"));
    let unclosed = said("owner = \"a");
    assert!(unclosed.contains("12:11") && unclosed.contains("invalid basic string"), "{unclosed}");
}

#[test]
fn one_mistake_in_the_syntax_is_one_error() {
    for line in ["owner = [\"a\",\ngroup = \"b\"\nmode = \"0644\"", "mode = 0755", "owner = \"a", "[x", "a b = 1"] {
        let said = messages(&with(&format!("{CONFIG}{line}\n")));
        assert!(said.len() == 1 && said[0].contains("TOML"), "{line}: {said:?}");
    }
    let swallowed = with(&CONFIG.replace("\"x\"", "\"\"\"x"));
    assert_eq!(messages(&swallowed), ["not valid TOML: this is not closed"]);
    assert!(drawn(&swallowed).contains("10:11"));
}

#[test]
fn each_value_is_checked() {
    let package = |from: &str, to: &str| messages(&with(CONFIG).replace(from, to));
    let user = "user = \"ollama\"";
    for (from, to, expected) in [
        ("\"p\"", "\"a b\"", "is not a package name"),
        ("\"p\"", "\"\\u001b\"", "`name` contains a control character"),
        ("\"1\"", "\"1\\n\"", "`version` contains a control character"),
        ("\"1\"", "\" \"", "`version` is empty"),
        ("version = \"1\"", "version = \"1\"\ndescription = \"\\u202e\"", "`description` contains a control character"),
        (
            "version = \"1\"",
            "version = \"1\"\nallowed_hosts = [\"https://a.b/c\"]",
            "\"https://a.b/c\" is not a host name",
        ),
        ("\"/opt/ollama\"", "\"opt\"", "the prefix must be an absolute path"),
        ("\"/opt/ollama\"", "\"/\"", "the prefix cannot be `/`"),
        ("\"/opt/ollama\"", "\"/opt//x\"", "the prefix is not normalised"),
        ("\"/opt/ollama\"", "\"/opt/a:b\"", "the prefix contains ':'"),
        ("\"/opt/ollama\"", "\"/run/x\"", "nothing can be installed at /run/x"),
        (user, "user = \"root\"", "the service must not run as root"),
        (user, "group = \"g\"", "`group` without `user`"),
        (user, "ip_allow = [\"any\", \"10.0.0.0/8\"]", "\"any\" allows everything and must stand alone"),
        (user, "ip_allow = [\"10.0.0.0/33\"]", "\"10.0.0.0/33\" is not an address that systemd knows"),
        (
            user,
            "relax = [\"MemoryDenyWriteExec\"]",
            "\"MemoryDenyWriteExec\" is not a restriction that can be switched off",
        ),
        (user, "ip_allow = \"any\"", "`ip_allow` must be a list of strings, not a string"),
        ("config-file", "config", "unknown component type \"config\""),
        ("name = \"c\"", "name = \"../c\"", "\"../c\" cannot be the name of a component"),
        ("name = \"c\"", "name = \"all\"\nrequired = false", "\"all\" cannot be the name of a component"),
        ("content = \"x\"", "content = \"x\"\nrequired = \"false\"", "`required` must be true or false, not a string"),
        ("content = \"x\"", "content = \"x\"\nmode = 0o644", "`mode` must be a string of octal digits, not an integer"),
        ("content = \"x\"", "content = \"x\"\nmode = \"4755\"", "\"4755\" is not a file mode"),
        ("content = \"x\"", "content = \"x\"\nexclude = []", "`exclude` does not go with type = \"config-file\""),
        (
            "content = \"x\"",
            "content = \"x\"\nsource.type = \"file\"\nsource.path = \"x\"",
            "`content` and `source` exclude each other",
        ),
        (
            "content = \"x\"",
            "source = { type = \"ollama-registry\", model = \"x\" }",
            "config-file cannot come from a model registry",
        ),
        ("content = \"x\"\n", "", "`content` is missing"),
    ] {
        let said = package(from, to);
        assert!(said.len() == 1 && said[0].contains(expected), "{to}: {said:?}");
    }
}

#[test]
fn each_place_on_the_target_is_checked() {
    for (path, expected) in [
        ("/", "`/` is no place for a file"),
        ("", "is empty"),
        ("../x", "contains '..'"),
        ("bin/", "has an empty component"),
        ("/sys/x", "nothing can be installed at /sys/x"),
        ("/var/lib/airgap-deploy/x", "nothing can be installed at"),
        ("/opt", "nothing can be installed at /opt"),
        ("models/blobs/x", "nothing can be installed at"),
        ("/opt/ollama/.ollama/id_ed25519", "nothing can be installed at"),
        ("/etc/systemd/system/x.service.d/10-airgap-deploy.conf", "nothing can be installed at"),
    ] {
        let said = messages(&with(&CONFIG.replace("install_path = \"c\"", &format!("install_path = {path:?}"))));
        assert!(said.len() == 1 && said[0].contains(expected), "{path}: {said:?}");
    }
    let nested =
        with(&(CONFIG.to_owned() + &CONFIG.replace("\"c\"", "\"d\"").replace("path = \"d\"", "path = \"c/d\"")));
    assert_eq!(messages(&nested), ["/opt/ollama/c/d lies below /opt/ollama/c, which is a file"]);
}

#[test]
fn each_source_is_checked() {
    for (source, expected) in [
        ("\"https://x\"", "`source` must be a table, not a string"),
        ("{ type = \"git\" }", "unknown source type \"git\""),
        ("{ type = \"url\", url = \"http://example.org/m\" }", "plain HTTP is not accepted"),
        ("{ type = \"url\", url = \"http://localhost.example.org/m\" }", "plain HTTP is not accepted"),
        ("{ type = \"url\", url = \"file:///m\" }", "file URLs are not accepted"),
        ("{ type = \"url\", url = \" https://example.org/m\" }", "the URL contains a space or a line break"),
        ("{ type = \"url\", url = \"m.gguf\" }", "this is not a URL"),
        ("{ type = \"url\", path = \"m\", url = \"https://example.org\" }", "`path` does not go with type = \"url\""),
        ("{ type = \"file\", path = \"m\", checksum = \"md5:0\" }", "the checksum is not 64 hexadecimal digits"),
        ("{ type = \"file\", path = \"\" }", "this is not the path of a file"),
        (
            "{ type = \"github-release\", repo = \"ollama\", tag = \"v1\", asset_pattern = \"*\" }",
            "is not a repository",
        ),
        (
            "{ type = \"github-release\", repo = \"a/b\", tag = \"\", asset_pattern = \"*\" }",
            "is not the tag of a release",
        ),
        (
            "{ type = \"github-release\", repo = \"a/b\", tag = \"v1\", asset_pattern = \"[\" }",
            "is not a usable pattern",
        ),
        ("{ type = \"github-release\", repo = \"a/b\", tag = \"v1\" }", "`asset_pattern` is missing"),
        ("{ type = \"file\", path = \"a-${goarch}\" }", "unknown placeholder `${goarch}`"),
        (
            "{ type = \"github-release\", repo = \"a/b\", tag = \"v{}\", asset_pattern = \"*\" }",
            "unknown placeholder `{}`",
        ),
        (
            "{ type = \"github-release\", repo = \"a/b\", tag = \"v1\", asset_pattern = \"{{goarch}}\" }",
            "unknown placeholder `{{goarch}}`",
        ),
        ("{ type = \"ollama-registry\", model = \"a:\" }", "is not a model name"),
        ("{ type = \"ollama-registry\", model = \"http://example.org/a/b\" }", "plain HTTP is not accepted"),
    ] {
        let said = messages(&with(&format!("{MODEL}source = {source}\n")));
        assert!(said.len() == 1 && said[0].contains(expected), "{source}: {said:?}");
    }
    for loopback in ["http://localhost:1/m", "http://127.9.9.9/m", "http://[::1]:8080/m"] {
        clean(&with(&format!("{MODEL}source = {{ type = \"url\", url = \"{loopback}\" }}\n")));
    }
}

#[test]
fn a_placeholder_that_is_none_is_drawn_with_what_there_is() {
    let source = "source = { type = \"url\", url = \"https://example.org/{arch}.gguf\" }\n";
    assert_eq!(
        drawn(&with(&format!("{MODEL}{source}"))),
        "error: unknown placeholder `{arch}`
  --> dir/AirGapDeploy.toml:11:32
   |
11 | source = { type = \"url\", url = \"https://example.org/{arch}.gguf\" }
   |                                ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ braces hold a placeholder here
   |
   = help: did you mean `{goarch}`? `{goarch}` stands for amd64 or arm64, `{machine}` for x86_64 or aarch64; braces of the URL itself are written %7B and %7D
"
    );
}

#[test]
fn checksums_and_placeholders_must_fit_each_other() {
    let (one, zeros) = ("https://example.org/{goarch}", "0".repeat(64));
    for (url, checksum, expected) in [
        (one, format!("\"{zeros}\""), "one checksum cannot be right for both architectures"),
        ("https://example.org/m", format!("{{ x86_64 = \"{zeros}\" }}"), "one source has one checksum"),
        (one, format!("{{ aarch64 = \"{zeros}\" }}"), "`x86_64` is missing"),
        (one, "{}".to_owned(), "`x86_64` is missing"),
        (one, format!("{{ x86_64 = \"{zeros}\", arm64 = \"{zeros}\" }}"), "unknown key `arm64` in checksum"),
        (one, format!("{{ x86_64 = \"{zeros}\", aarch64 = \"0\" }}"), "the checksum is not 64 hexadecimal digits"),
        (one, format!("{{ x86_64 = \"{zeros}\", aarch64 = 0 }}"), "`aarch64` must be a string, not an integer"),
        (one, "3".to_owned(), "`checksum` must be a string, not an integer"),
    ] {
        let source = format!("source = {{ type = \"url\", url = {url:?}, checksum = {checksum} }}\n");
        assert_eq!(messages(&with(&format!("{MODEL}{source}"))), [expected], "{source}");
    }
    let own = format!("source = {{ type = \"url\", url = {one:?}, checksum = {{ x86_64 = \"{zeros}\" }} }}\n");
    clean(&with(&format!("{MODEL}{own}")));
}

#[test]
fn each_setting_of_a_model_is_checked() {
    for (line, expected) in [
        ("params = { temprature = 1 }", "Ollama has no parameter `temprature`"),
        ("params = { stop = \"x\" }", "`stop` must be a list of strings, not a string"),
        ("params = { num_ctx = 0.5 }", "`num_ctx` must be a whole number, not a float"),
        ("params = { top_p = nan }", "`top_p` must be a finite number, not a float"),
        ("params = { use_mmap = 1 }", "`use_mmap` must be true or false, not an integer"),
        ("params = []", "`params` must be a table, not a list"),
        ("system = \" \"", "`system` is empty"),
        ("license = [1]", "`license` must be a string, not an integer"),
        ("model = \"a b\"", "is not a model name"),
        ("model = [\"llama\", \"LLama:latest\"]", "LLama:latest is named twice"),
    ] {
        let said = messages(&with(&format!("{MODEL}source = {{ type = \"file\", path = \"m\" }}\n{line}\n")));
        assert!(said.len() == 1 && said[0].contains(expected), "{line}: {said:?}");
    }
    let file = "source = { type = \"file\", path = \"m\" }\n";
    let no_path = MODEL.replace("install_path = \"m.gguf\"\n", file);
    assert_eq!(messages(&with(&no_path)), ["`install_path` is missing"]);
    assert_eq!(messages(&with(&no_path.replace("path = \"m\"", "path = \"\""))).len(), 2);
    let again = MODEL.replace("\"m\"", "\"m:latest\"").replace("m.gguf", "n.gguf");
    assert_eq!(messages(&with(&format!("{MODEL}{file}{again}{file}"))), ["two models are called m:latest in Ollama"]);
}

#[test]
fn credentials_are_warned_about_and_not_repeated() {
    let text = with(&format!("{MODEL}source = {{ type = \"url\", url = \"https://bob:hunter2@example.org/m\" }}\n"));
    assert_eq!(messages(&text), ["the URL contains credentials"]);
    assert!(!drawn(&text).contains("hunter2") && drawn(&text).contains("https://***********@example.org/m"));
}

#[test]
fn units_that_do_not_fit_the_manifest_are_warned_about() {
    let unit = |from: &str, to: &str| messages(&filled(USE_CASE).replace(from, to));
    assert_eq!(
        unit("ExecStart=/opt/ollama/bin/ollama", "ExecStart=-/opt/ollama/ollama"),
        ["no component installs /opt/ollama/ollama"]
    );
    assert_eq!(unit("User=ollama", "User=olama"), ["the unit says User=olama, [install] says ollama"]);
    assert_eq!(unit("User=ollama\n", ""), ["the unit has no User=: the service would run as root"]);
    assert_eq!(unit("ExecStart=/opt/ollama/bin/ollama", "ExecStart=/usr/bin/env"), [""; 0]);
    let drawn = drawn(&filled(USE_CASE).replace("User=ollama", "User=olama"));
    assert!(drawn.contains("53 | User=olama\n   | ^^^^^^^^^^\n"), "{drawn}");
}
