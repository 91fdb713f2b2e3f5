//! Those who build, at their desk: what they type, what they destroy by mistake, and what they are told.
//! What is wrong with a manifest is tested in the builder; installing, in the other files here.

use std::fs::{self, File};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use e2e::forge::Original;
use e2e::scenario::outcome::run;
use e2e::scenario::{Scenario, elf, gguf, package, sample};
use e2e::terminal::watch;
use e2e::typed::typed;

/// A scenario with a manifest `m.toml` that builds.
fn ready() -> Result<Scenario> {
    let scenario = Scenario::new()?;
    sample::write_inputs(&scenario)?;
    scenario.write("m.toml", sample::MANIFEST)?;
    Ok(scenario)
}

#[test]
fn an_output_never_replaces_what_is_no_package_or_what_the_build_reads() -> Result<()> {
    let scenario = ready()?;
    scenario.write("notes.txt", "keep me")?;
    scenario.write("other/inputs/x", "")?;
    nix::unistd::mkfifo(&scenario.path("fifo"), nix::sys::stat::Mode::S_IRWXU)?;
    std::os::unix::fs::symlink("notes.txt", scenario.path("link"))?;
    let before = fs::read(scenario.path("inputs/notes.txt"))?;
    for (name, said) in [
        ("m.toml", "this build reads it"),
        ("inputs/notes.txt", "this build reads it"),
        ("notes.txt", "--force"),
        ("fifo", "not a regular file"),
        ("/dev/null", "not a regular file"),
        ("link", "not a regular file"),
        ("other", "is a directory"),
        ("-", "standard output"),
    ] {
        run(scenario.builder()?.args(["--manifest", "m.toml", "--output", name]))?.exits(44)?.says(said)?;
    }
    run(scenario.builder()?.args(["--manifest", "m.toml", "--output", "m.toml", "--force"]))?.exits(44)?;
    assert_eq!(fs::read_to_string(scenario.path("m.toml"))?, sample::MANIFEST);
    assert_eq!(fs::read(scenario.path("inputs/notes.txt"))?, before);
    assert_eq!(fs::read_to_string(scenario.path("notes.txt"))?, "keep me");
    assert!(!scenario.path("-").exists());
    run(scenario.builder()?.args(["--manifest", "m.toml", "--output", "notes.txt", "--force"]))?.exits(0)?;
    // A package is replaced without a word.
    run(scenario.builder()?.args(["--manifest", "m.toml", "--output", "notes.txt"]))?.exits(0)?;
    package(&scenario.path("notes.txt"), &["--verify"])?.exits(0)?;
    Ok(())
}

#[test]
fn an_answer_that_cannot_be_written_is_an_error_and_a_closed_pipe_is_none() -> Result<()> {
    let scenario = ready()?;
    let built = run(scenario.builder()?.args(["--manifest", "m.toml", "--output", "p.run"]))?.exits(0)?;
    ensure!(built.stdout.contains("wrote p.run"), "{built}");
    for arguments in [
        &["check", "m.toml"] as &[&str],
        &["check", "m.toml", "--json"],
        &["inspect", "p.run"],
        &["inspect", "--json", "p.run"],
        &["verify", "p.run"],
        &["lock", "m.toml"],
        &["cache", "prune"],
        &["explain", "42"],
        &["completions", "bash"],
        &["man"],
        &["--help"],
        &["--manifest", "m.toml", "--output", "p.run", "--json"],
    ] {
        let mut command = scenario.builder()?;
        let full = File::options().write(true).open("/dev/full")?;
        let status = command.args(arguments).stdout(full).stderr(Stdio::null()).status()?;
        assert_eq!(status.code(), Some(44), "{arguments:?}");
        let (reader, writer) = std::io::pipe()?;
        drop(reader);
        let mut command = scenario.builder()?;
        let status = command.args(arguments).stdout(writer).stderr(Stdio::null()).status()?;
        assert_eq!(status.code(), Some(0), "{arguments:?}");
    }
    Ok(())
}

#[test]
fn mistakes_of_a_manifest_are_said_once_and_not_by_the_hundred() -> Result<()> {
    let scenario = ready()?;
    let wrong = "[[components]]\ntype = \"x\"\n".repeat(50);
    scenario.write("m.toml", format!("{}{wrong}", sample::HEAD))?;
    let said = run(scenario.builder()?.args(["check", "m.toml"]))?.exits(40)?.says("more; correct these first")?;
    ensure!(!said.stderr.contains("error: error:"), "{said}");
    ensure!(said.stderr.matches("error:").count() < 25, "{said}");
    Ok(())
}

#[test]
fn check_refuses_what_the_build_refuses_and_with_the_same_code() -> Result<()> {
    let scenario = ready()?;
    nix::unistd::mkfifo(&scenario.path("fifo"), nix::sys::stat::Mode::S_IRWXU)?;
    scenario.directory("dir")?;
    scenario.write("empty", "")?;
    scenario.write("text", "no model\n")?;
    for (from, to, code) in [
        ("inputs/llama2-7b.gguf", "dir", 41),
        ("inputs/llama2-7b.gguf", "text", 40),
        ("inputs/llama2-7b.gguf", "empty", 40),
        ("inputs/llama2-7b.gguf", "fifo", 41),
        ("inputs/llama2-7b.gguf", "/dev/zero", 41),
        ("inputs/llama2-7b.gguf", "nosuch", 41),
        ("inputs/notes.txt", "/dev/zero", 41),
        ("inputs/notes.txt", "dir", 41),
    ] {
        let text = sample::MANIFEST.replace(from, to);
        ensure!(text != sample::MANIFEST, "{from} is not in the manifest");
        scenario.write("m.toml", text)?;
        let checked = run(scenario.builder()?.args(["check", "m.toml"]))?.exits(code);
        checked.with_context(|| format!("check of {to}"))?.says(to)?;
        let built = run(scenario.builder()?.args(["m.toml"]))?.exits(code);
        built.with_context(|| format!("build of {to}"))?.says(to)?;
    }
    // An entry of the lock file for another source pins nothing.
    let source = |at: &str| format!("type = \"url\"\nurl = \"https://x.example/{at}\"\n");
    let component = "[[components]]\ntype = \"config-file\"\nname = \"n\"\ninstall_path = \"n\"\n";
    scenario.write("m.toml", format!("{}{component}[components.source]\n{}", sample::HEAD, source("new")))?;
    for (at, code) in [("new", 0), ("old", 40)] {
        let file = format!("url = \"https://x.example/{at}\"\nsize = 1\nsha256 = \"{}\"\n", "0".repeat(64));
        let entry = format!("[components.source]\n{}[[components.files]]\n{file}", source(at));
        let lock = format!("version = 1\n[[components]]\nmanifest = \"m.toml\"\nname = \"n\"\n{entry}");
        scenario.write("AirGapDeploy.lock", lock)?;
        run(scenario.builder()?.args(["check", "m.toml"]))?.exits(code)?;
    }
    Ok(())
}

#[test]
fn hints_fit_what_was_typed() -> Result<()> {
    let scenario = ready()?;
    run(scenario.builder()?.args(["inspect", "/bin/ls"]))?.exits(10)?.says("name a package")?;
    scenario.write("m.toml", sample::MANIFEST.replace("version = \"1.2.3\"", "version = 1.2.3"))?;
    run(scenario.builder()?.args(["check", "m.toml"]))?.exits(40)?.says("put it in quotes")?;
    Ok(())
}

#[test]
fn a_manifest_is_found_where_people_put_it() -> Result<()> {
    let scenario = ready()?;
    run(scenario.builder()?.args(["m.toml", "--output", "a.run"]))?.exits(0)?;
    run(scenario.builder()?.args(["check"]))?.exits(2)?.says("AirGapDeploy.toml")?;
    scenario.write("AirGapDeploy.toml", sample::MANIFEST)?;
    run(scenario.builder()?.args(["prep", "--output", "b.run"]))?.exits(0)?;
    run(scenario.builder()?.args(["lock"]))?.exits(0)?;
    let mut command = scenario.builder()?;
    command.args(["--manifest", "-", "--output", "c.run"]).stdin(File::open(scenario.path("m.toml"))?);
    run(&mut command)?.exits(0)?;
    assert_eq!(fs::read(scenario.path("a.run"))?, fs::read(scenario.path("c.run"))?);
    run(scenario.builder()?.args(["cache", "list", "--json", "--cache-dir", "elsewhere"]))?.exits(0)?;
    Ok(())
}

#[test]
fn one_manifest_serves_both_architectures() -> Result<()> {
    let scenario = Scenario::new()?;
    let component = "[[components]]\ntype = \"external-binary\"\nname = \"tool\"\ninstall_path = \"bin/tool\"\n\
                     source = { type = \"file\", path = \"tool-{goarch}\" }\n";
    scenario.write("m.toml", format!("{}{component}", sample::HEAD))?;
    scenario.write("tool-amd64", elf::program(elf::X86_64, "GLIBC_2.17", "tool"))?;
    let arm = ["--target", "aarch64"];
    run(scenario.builder()?.args(["check", "m.toml"]))?.exits(0)?;
    run(scenario.builder()?.args(["check", "m.toml"]).args(arm))?.exits(41)?.says("tool-arm64")?;
    scenario.write("tool-arm64", elf::program(elf::AARCH64, "GLIBC_2.17", "tool"))?;
    run(scenario.builder()?.args(["check", "m.toml"]).args(arm))?.exits(0)?;
    run(scenario.builder()?.args(["lock", "m.toml"]))?.exits(0)?.says("+ tool (x86_64): file:tool-amd64")?;
    run(scenario.builder()?.args(["lock", "m.toml"]).args(arm))?.exits(0)?.says("+ tool (aarch64): file:tool-arm64")?;
    let locked = fs::read(scenario.path("AirGapDeploy.lock"))?;
    run(scenario.builder()?.args(["m.toml", "--locked", "--output", "p.run"]))?.exits(0)?;
    run(scenario.builder()?.args(["lock", "m.toml", "--locked"]).args(arm))?.exits(0)?.says("nothing changed")?;
    ensure!(fs::read(scenario.path("AirGapDeploy.lock"))? == locked, "a build changed what is the other's");
    // A package for the other architecture, which the same command would write under the same name.
    let mut other = Original::open(&scenario.path("p.run"))?;
    other.change(|index| index.target.arch = payload::index::Arch::Aarch64)?;
    fs::remove_file(scenario.path("p.run"))?;
    other.write(&scenario.path("p.run"))?;
    let again = ["m.toml", "--output", "p.run"];
    run(scenario.builder()?.args(again))?.exits(44)?.says("it is a package for aarch64, and this one is for x86_64")?;
    run(scenario.builder()?.args(again).arg("--force"))?.exits(0)?;
    // The wrong file under the right name: the refusal says how one manifest does it.
    fs::copy(scenario.path("tool-arm64"), scenario.path("tool-amd64"))?;
    run(scenario.builder()?.args(["m.toml", "--output", "p.run"]))?.exits(40)?.says("`{goarch}` (amd64, arm64)")?;
    Ok(())
}

#[test]
fn units_get_the_line_ends_that_systemd_reads() -> Result<()> {
    let scenario = Scenario::new()?;
    let unit = "[Service]\nExecStart=/bin/true\n";
    scenario.write("a.service", unit.replace('\n', "\r\n"))?;
    let component = "[[components]]\ntype = \"config-file\"\nname = \"a\"\n\
                     source = { type = \"file\", path = \"a.service\" }\n\
                     install_path = \"/etc/systemd/system/a.service\"\n";
    let run_file = scenario.build(&format!("{}{component}", sample::HEAD))?;
    let out = scenario.path("out");
    package(&run_file, &["--extract", out.to_str().context("UTF-8")?])?.exits(0)?;
    assert_eq!(fs::read_to_string(out.join("etc/systemd/system/a.service"))?, unit);
    Ok(())
}

#[test]
fn both_programs_explain_every_code_in_the_same_words() -> Result<()> {
    let scenario = ready()?;
    run(scenario.builder()?.args(["m.toml", "--output", "p.run"]))?.exits(0)?;
    for asked in ["42", "Binary not found", "130"] {
        let here = run(scenario.builder()?.args(["explain", asked]))?.exits(0)?;
        let there = package(&scenario.path("p.run"), &["--explain", asked])?.exits(0)?;
        ensure!(here.stdout == there.stdout && here.stdout.contains("do:"), "{here}\n{there}");
    }
    run(scenario.builder()?.args(["explain", "7"]))?.exits(2)?;
    package(&scenario.path("p.run"), &["--explain", "7"])?.exits(2)?;
    Ok(())
}

#[test]
fn completions_manual_pages_and_the_version_tell_about_this_builder() -> Result<()> {
    let scenario = Scenario::new()?;
    for shell in ["bash", "zsh", "fish"] {
        run(scenario.builder()?.args(["completions", shell]))?.exits(0)?.says("update-lock")?;
    }
    run(scenario.builder()?.arg("man"))?.exits(0)?.says(".TH builder 1")?;
    scenario.directory("pages")?;
    run(scenario.builder()?.args(["man", "pages"]))?.exits(0)?;
    assert!(scenario.path("pages/builder-check.1").is_file());
    let version = run(scenario.builder()?.arg("--version"))?.exits(0)?;
    let target = std::env::consts::ARCH;
    version.says("stub x86_64 sha256:")?.says("\ncommit ")?.says(&format!("\ntarget {target}-unknown-linux-"))?;
    let coloured = run(scenario.builder()?.args(["--color", "always", "check", "nosuch.toml"]))?.exits(40)?;
    ensure!(coloured.stderr.contains("nosuch.toml"), "{coloured}");
    Ok(())
}

#[test]
fn verbose_tells_what_is_read_chosen_and_placed_and_twice_tells_more() -> Result<()> {
    let scenario = ready()?;
    let build = |more: &[&str]| run(scenario.builder()?.args(more).args(["m.toml", "--output", "p.run"]))?.exits(0);
    let (none, one, two) = (build(&[])?, build(&["-v"])?, build(&["-vv"])?);
    let (placed, blob) = ("place /opt/ollama/bin/ollama (", "with xz, 1 chunks");
    for said in ["manifest m.toml: sample 1.2.3", "cache ", "component ollama: file inputs/ollama", "packed "] {
        ensure!(!none.stderr.contains(said) && one.stderr.contains(said) && two.stderr.contains(said), "{said}: {one}");
    }
    for said in [placed, blob] {
        ensure!(!one.stderr.contains(said) && two.stderr.contains(said), "{said}: {two}");
    }
    // Every command has something to tell, wherever the option stands, and programs read the same document as ever.
    for arguments in [&["check", "m.toml"][..], &["verify", "p.run"], &["lock", "m.toml"], &["cache", "list"]] {
        let front = run(scenario.builder()?.arg("-v").args(arguments))?.exits(0)?;
        let behind = run(scenario.builder()?.args(arguments).args(["--verbose", "--json"]))?.exits(0)?;
        let told: Vec<&str> = behind.stderr.lines().collect();
        ensure!(!told.is_empty() && told.iter().all(|line| front.stderr.contains(line)), "{front}\n{behind}");
        ensure!(run(scenario.builder()?.args(arguments).arg("--json"))?.exits(0)?.stdout == behind.stdout, "{behind}");
    }
    Ok(())
}

#[test]
fn init_takes_every_answer_as_an_option_and_waits_for_nobody_without_a_terminal() -> Result<()> {
    let scenario = ready()?;
    // Standard input never ends: whoever waited for it would not come back.
    let init = |arguments: &[&str]| -> Result<_> {
        let (_held, open) = nix::unistd::pipe().map(|(read, write)| (write, read))?;
        let mut command = scenario.builder()?;
        run(command.arg("init").args(arguments).stdin(Stdio::from(open)))
    };
    init(&["full"])?.exits(0)?;
    let same = fs::read(scenario.path("AirGapDeploy.ollama.toml"))?;
    assert_eq!(same, fs::read(e2e::crash::workspace().join("manifests/AirGapDeploy.ollama.toml"))?);
    let url = format!("https://models.example.org/big.gguf#sha256={}", "ab".repeat(32));
    let answers = ["--output", "own.toml", "--name", "own", "--package-version", "3", "--description", "It's \"ours\""];
    let more =
        ["--prefix", "/srv/llm", "--user", "llm", "--ollama", "v0.16.1", "--model", "qwen2:0.5b,inputs/llama2-7b.gguf"];
    init(&[&answers[..], &more, &["--optional-model", &url]].concat())?.exits(0)?;
    run(scenario.builder()?.args(["check", "own.toml"]))?.exits(0)?.says("no errors, no warnings")?;
    let text = fs::read_to_string(scenario.path("own.toml"))?;
    for part in
        ["name = \"big\"", "User=llm\n", "ExecStart=/srv/llm/bin/ollama serve", "tag = \"v0.16.1\"", "--include big"]
    {
        ensure!(text.contains(part), "{part:?} is not in {text}");
    }
    // What no manifest takes is refused, and nothing is written.
    for (option, value, said) in [
        ("--name", "a b", "name"),
        ("--user", "root", "root"),
        ("--prefix", "/etc", "prefix"),
        ("--model", "nosuch.gguf", "nosuch.gguf"),
        ("--model", "https://models.example.org/big.gguf", "has no checksum"),
    ] {
        let refused = init(&["--output", "refused.toml", option, value])?;
        ensure!(refused.code != 0 && refused.stderr.contains(said), "{option} {value}: {refused}");
        ensure!(!scenario.path("refused.toml").exists(), "{option} {value} leaves a file");
    }
    init(&["update", "--ollama", "v1"])?.exits(2)?;
    Ok(())
}

#[test]
fn init_asks_at_a_terminal_until_check_takes_the_answers() -> Result<()> {
    let scenario = ready()?;
    let builder = scenario.builder()?.get_program().to_str().context("UTF-8")?.to_owned();
    let command = |options: &str| format!("cd '{}' && '{builder}' init {options}", scenario.path("").display());
    let answers = [
        ("full: Ollama", "nonsense"),
        ("[full]: ", "update"),
        ("Models (", "nosuch.gguf"),
        ("Models (", "phi3, qwen2:0.5b"),
        ("[none]: ", ""),
        ("[ollama-phi3]: ", "no name"),
        ("[ollama-phi3]: ", "ours"),
        ("Version", ""),
        ("Description", ""),
        ("Directory", ""),
        ("[ollama]: ", ""),
        ("File to write", "m.toml"),
        ("there already", "asked.toml"),
    ];
    let (code, said) = typed(&command(""), &answers)?;
    ensure!(code == 0 && said.contains("wrote asked.toml"), "{said}");
    run(scenario.builder()?.args(["check", "asked.toml"]))?.exits(0)?.says("no errors, no warnings")?;
    let text = fs::read_to_string(scenario.path("asked.toml"))?;
    ensure!(text.contains("name = \"ours\"") && text.contains("qwen2:0.5b") && !text.contains("mistral"), "{text}");
    // Ctrl-C (and Ctrl-D) leave nothing; what options say is not asked.
    for (key, ending) in [("\u{3}", 130), ("\u{4}", 2)] {
        let (code, said) = typed(&command("full --output left.toml --ollama v0.15.0"), &[("Models (", key)])?;
        ensure!(code == ending && !said.contains("release ["), "{code}: {said}");
        ensure!(!scenario.path("left.toml").exists() && said.contains("nothing was written"), "{said}");
    }
    let (code, said) = typed(&command("--defaults"), &[])?;
    ensure!(code == 0 && !said.contains("Enter takes"), "{said}");
    Ok(())
}

#[test]
fn bars_fit_the_terminal_and_say_what_is_done() -> Result<()> {
    for columns in [40, 80, 132] {
        let scenario = ready()?;
        let build = watch(scenario.builder()?.args(["--manifest", "m.toml", "--output", "p.run"]), columns)?;
        ensure!(build.code == 0, "{build:?}");
        let verify = watch(Command::new(scenario.path("p.run")).arg("--verify"), columns)?;
        ensure!(verify.code == 0, "{verify:?}");
        let packed = &["hashing", "packing", "writing"] as &[&str];
        for (seen, activities) in [(build, packed), (verify, &["verifying"])] {
            let rows = seen.rows(usize::from(columns));
            for activity in activities {
                let bars: Vec<_> = rows.iter().filter(|row| row.starts_with(activity)).collect();
                ensure!(!bars.is_empty(), "no bar says {activity} at {columns} columns: {rows:#?}");
                for bar in bars {
                    ensure!(bar.ends_with(" left"), "{columns} columns: {bar}");
                }
            }
        }
    }
    Ok(())
}

#[test]
fn suggested_commands_are_quoted_as_a_shell_reads_them() -> Result<()> {
    let scenario = ready()?;
    for name in ["a b.toml", "x;touch pwn.toml", "$(touch pwn).toml", "it's.toml", "-x\u{202e}.toml"] {
        let said = run(scenario.builder()?.args(["init", "--output", &format!("./{name}")]))?.exits(0)?;
        let line = said.stdout.lines().find_map(|line| line.strip_prefix("next: edit it, then ")).context("no next")?;
        let (check, _) = line.split_once(" and ").context("one command")?;
        // What a shell makes of it, with a builder that says what it is given.
        let script = format!("builder() {{ printf '%s|' \"$@\"; }}; {check}");
        let read =
            run(std::process::Command::new("sh").args(["-c", &script]).current_dir(scenario.path("")))?.exits(0)?;
        let shown = name.replace('\u{202e}', "\\u{202e}");
        ensure!(read.stdout == format!("check|./{shown}|"), "{name}: {line}: {read}");
    }
    ensure!(!scenario.path("pwn").exists(), "a name was run");
    Ok(())
}

#[test]
fn a_model_for_which_there_is_no_room_is_refused_before_it_is_hashed() -> Result<()> {
    let scenario = ready()?;
    // Nobody waits for the digest of so much.
    gguf::sparse(&scenario.path("inputs/llama2-7b.gguf"), 8 << 40)?;
    let outcome = run(scenario.builder()?.args(["--manifest", "m.toml", "--output", "x.run"]))?.exits(22)?;
    outcome.says("Out of disk space")?.says("next:")?;
    ensure!(!scenario.path("x.run").exists(), "something was written");
    Ok(())
}
