//! README.md and docs/, word for word: every command in them is typed, every link followed, every option looked up.
//! What the commands do is tested elsewhere.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use e2e::book;
use e2e::crash::workspace;
use e2e::docs::{Page, Typed, pages};
use e2e::scenario::outcome::{Outcome, run};
use e2e::scenario::{Scenario, gguf, package, sample};
use e2e::skip::{is_root, without_root};

/// Languages of blocks in which nothing is typed.
const NOT_TYPED: [&str; 7] = ["toml", "text", "modelfile", "yaml", "ini", "dockerfile", "json"];

/// Commands that need what is not here (a booted systemd, a real Ollama, Ansible, a terminal, the network), the test that
/// runs them, and how they stand in it.
const ELSEWHERE: &[(&str, &str, &str)] = &[
    ("make demo", ".ci/run", "make demo"),
    ("make test", ".ci/run", "make test"),
    ("systemctl start ollama", ACCEPTANCE, r#"["systemctl", "start", "ollama"]"#),
    ("systemctl enable ollama", ACCEPTANCE, r#"["systemctl", "enable", "ollama"]"#),
    ("systemctl status ollama", ACCEPTANCE, r#"["systemctl", "status", "ollama"]"#),
    ("/opt/ollama/bin/ollama list", ACCEPTANCE, r#"[OLLAMA, "list"]"#),
    ("/opt/ollama/bin/ollama --version", ACCEPTANCE, r#"[OLLAMA, "--version"]"#),
    (r#"/opt/ollama/bin/ollama run llama2-7b "Hello, how are you?""#, ACCEPTANCE, r#"ask("Hello, how are you?")"#),
    (r#"/opt/ollama/bin/ollama run llama2-7b "Hello""#, ACCEPTANCE, r#"ask("Hello")"#),
    (
        r#"/opt/ollama/bin/ollama run llama2-7b "Explain quantum computing""#,
        ACCEPTANCE,
        r#"ask("Explain quantum computing")"#,
    ),
    ("lsof -n -P -i -a -p $(pgrep -d, ollama)", ACCEPTANCE, r#"["lsof", "-n", "-P", "-i", "-a", "-p", &pids]"#),
    ("reboot", ACCEPTANCE, "self.machine.reboot()"),
    ("make build", "Makefile", "demo: build"),
    (
        "/media/usb/first.run --install --start",
        "tests/tests/living.rs",
        r#""/media/usb/first.run", "--install", "--start""#,
    ),
    ("builder --manifest AirGapDeploy.toml --output exporters-amd64.run", ARM64, BUILT_FOR),
    ("builder --manifest AirGapDeploy.toml --target aarch64 --output exporters-arm64.run", ARM64, BUILT_FOR),
    ("builder keygen site.key", "tests/tests/trust.rs", "(\"Password for the new key:\", "),
    ("ansible-playbook -i INVENTORY ollama-deploy.yml --check --diff", FLEET, r#"demo.yml", &["--check", "--diff"]"#),
    ("ansible-playbook -i INVENTORY ollama-deploy.yml", FLEET, r#"demo.yml", &[]"#),
    ("ansible-playbook -i INVENTORY ollama-deploy-status.yml", FLEET, r#"demo-status.yml", &[]"#),
    (
        "ansible-playbook -i INVENTORY ollama-deploy.yml -e ollama_deploy_serial=10% -e ollama_deploy_max_fail_percentage=5",
        FLEET,
        r#""demo_serial=1", "-e", "demo_max_fail_percentage=5""#,
    ),
    (
        "ansible-galaxy collection install --offline airgap_deploy-ollama_deploy-0.15.0.tar.gz",
        "tests/tests/ansible.rs",
        r#"&["install", "--offline", "#,
    ),
    (
        "ansible-playbook -i INVENTORY airgap_deploy.ollama_deploy.install -e ollama_deploy_package_directory=/srv/packages",
        "tests/tests/ansible.rs",
        "airgap_deploy.{name}.install",
    ),
];
const ACCEPTANCE: &str = "tests/tests/acceptance.rs";
const FLEET: &str = "tests/tests/fleet.rs";
const ARM64: &str = "tests/tests/arm64.rs";
const BUILT_FOR: &str = r#"["--target", target, "--output", output]"#;

/// Pages that have a test of their own, which types the whole of them.
const OWN_TEST: &[(&str, &str, &str)] = &[("docs/format.md", "tests/tests/format.rs", r#"page("docs/format.md")"#)];

/// Commands whose exit code is another one than 0.
const ENDS: &[(&str, &str, i32)] = &[];

/// What the commands of a page find when they are typed: the manifests that the project has, with sources on this machine.
fn prepare(name: &str, site: &Site) -> Result<()> {
    let scenario = &site.scenario;
    for directory in
        ["whole", "stick-1", "stick-2", "stick-3", "copy", "unpacked", "image", "root/media/usb-drive", "root/var/log"]
    {
        scenario.directory(directory)?;
    }
    symlink(scenario.path(""), site.root.join("media/usb"))?;
    if name == "docs/transfer.md" {
        scenario.write("model.gguf", gguf::noise("llama2", 28 << 20))?;
        let manifest = sample::HEAD.to_owned() + &model("llama2-7b", "model.gguf", "");
        scenario.write("AirGapDeploy.toml", manifest)?;
        return Ok(());
    }
    sample::release_tree(&scenario.path("inputs/ollama"))?;
    for (model, kind) in [("llama2-7b", 1), ("mistral-7b", 2), ("codellama-7b", 3)] {
        scenario.write(&format!("inputs/{model}"), gguf::noise(model, kind << 16))?;
    }
    for entry in fs::read_dir(workspace().join("manifests"))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with("AirGapDeploy.ollama") {
            scenario.write(&name, with_local_sources(&fs::read_to_string(&path)?))?;
        }
    }
    let ollama = || run(scenario.builder()?.args(["--manifest", "AirGapDeploy.ollama.toml"]))?.exits(0);
    match name {
        "docs/images.md" => {
            let package = scenario.path("ollama-deploy.run");
            ollama()?;
            fs::create_dir_all(site.root.join("srv"))?;
            fs::copy(package, site.root.join("srv/ollama-deploy.run"))?;
        }
        "docs/manifest.md" => {
            let choice = sample::HEAD.replace("\"sample\"", "\"ollama-choice\"")
                + &model("llama2-7b", "inputs/llama2-7b", "")
                + &model("mistral-7b", "inputs/mistral-7b", "required = false\n");
            scenario.write("choice.toml", choice)?;
            run(scenario.builder()?.args(["choice.toml", "--include", "mistral-7b"]))?.exits(0)?;
        }
        "docs/operating.md" => {
            ollama()?;
            let text = fs::read_to_string(scenario.path("AirGapDeploy.ollama.toml"))?;
            scenario.write("next.toml", text.replace("version = \"0.15.0\"", "version = \"0.15.1\""))?;
            run(scenario.builder()?.args(["next.toml", "--output", "next.run"]))?.exits(0)?;
        }
        "docs/start.md" => {
            let page = e2e::docs::page(name)?;
            let manifest = page.blocks.iter().find(|block| block.language() == "toml").context("no manifest")?;
            scenario.write("AirGapDeploy.toml", &manifest.text)?;
        }
        "docs/sources.md" => {
            fs::copy(scenario.path("AirGapDeploy.ollama.toml"), scenario.path("M.toml"))?;
        }
        "docs/trust.md" => {
            run(scenario.builder()?.args(["keygen", "--no-password", "site.key"]))?.exits(0)?;
            let text = fs::read_to_string(scenario.path("AirGapDeploy.ollama.toml"))?;
            scenario.write("ollama-deploy.toml", &text)?;
            scenario.write("next.toml", text.replace("version = \"0.15.0\"", "version = \"0.15.1\""))?;
            let sign = ["next.toml", "--sign-key", "site.key", "--output", "next.run"];
            run(scenario.builder()?.args(sign))?.exits(0)?;
        }
        _ => {}
    }
    Ok(())
}

fn model(name: &str, path: &str, more: &str) -> String {
    let head = format!("[[components]]\ntype = \"model-file\"\nname = \"{name}\"\n");
    format!("{head}{}install_path = \"models/{name}.gguf\"\n{more}", from_file(path))
}

fn from_file(path: &str) -> String {
    format!("source = {{ type = \"file\", path = \"{path}\" }}\n")
}

/// The same manifest, whose components come from `inputs/`.
fn with_local_sources(manifest: &str) -> String {
    let mut local = String::new();
    let mut component = "";
    for line in manifest.lines() {
        match line.split_once(" = ") {
            Some(("name", name)) => component = name.trim_matches('"'),
            Some(("source.type", _)) => {
                local.push_str(&from_file(&format!("inputs/{component}")));
            }
            _ => {}
        }
        if !line.starts_with("source.") {
            local.push_str(line);
            local.push('\n');
        }
    }
    local
}

/// A directory in which a page is typed: the builder on the `PATH`, and below `root` the machine that is installed on.
struct Site {
    scenario: Scenario,
    root: PathBuf,
}

impl Site {
    fn new() -> Result<Self> {
        let scenario = Scenario::new()?;
        let root = scenario.target("root")?;
        scenario.directory("bin")?;
        symlink(scenario.builder()?.get_program(), scenario.path("bin/builder"))?;
        Ok(Self { scenario, root })
    }

    /// One shell types everything, so that variables and directories stay; each command leaves what it said and its exit code.
    fn shell(&self, commands: &[&Typed]) -> Result<Vec<Outcome>> {
        let said = self.scenario.directory("said")?;
        let mut script = "set -u -o pipefail\n".to_owned();
        for (number, typed) in commands.iter().enumerate() {
            let file = self.scenario.write(&format!("said/{number}.sh"), self.mapped(&typed.command))?;
            let file = file.display();
            writeln!(script, ". {file} > {file}.out 2> {file}.err\necho $? > {file}.code")?;
        }
        let root = self.root.display();
        let path =
            format!("{}:{root}/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin", self.scenario.path("bin").display());
        let mut shell = Command::new("bash");
        shell.args(["-c", &script]).env_clear().env("PATH", path).env("HOME", self.scenario.directory("home")?);
        run(shell.current_dir(self.scenario.path("")).stdin(Stdio::null()))?;
        let read = |number: usize, kind: &str| fs::read_to_string(said.join(format!("{number}.sh.{kind}")));
        (0..commands.len())
            .map(|number| {
                let code = read(number, "code").map_or(Ok(-1), |code| code.trim().parse())?;
                Ok(Outcome { code, stdout: read(number, "out")?, stderr: read(number, "err")? })
            })
            .collect()
    }

    /// The same command for the machine below the root: `sudo` goes, paths of the target get the root in front, and our
    /// programs are told of it, unless they are told of another.
    fn mapped(&self, command: &str) -> String {
        let root = if command.contains("--root ") { String::new() } else { format!(" --root {}", self.root.display()) };
        let mut mapped = String::new();
        let mut begins = true;
        for piece in command.split_inclusive([' ', '\n']) {
            let word = piece.trim_end_matches([' ', '\n']);
            if begins && word == "sudo" {
                continue;
            }
            mapped.push_str(&on_target(word, &self.root));
            if begins && is_ours(word) {
                mapped.push_str(&root);
            }
            mapped.push_str(&piece[word.len()..]);
            begins =
                ["&&", "|", ";", "then", "||"].contains(&word) || word.starts_with('(') || word.is_empty() && begins;
        }
        mapped
    }
}

/// Whether `program` is a package, or the command.
fn is_ours(program: &str) -> bool {
    let path = Path::new(program);
    path.extension().is_some_and(|kind| kind == "run") || path.ends_with("airgap-deploy")
}

/// `word` with the root in front of the path in it, if that is one of the target.
fn on_target(word: &str, root: &Path) -> String {
    const OF_TARGET: [&str; 7] = ["/opt/", "/etc/", "/var/", "/usr/local/", "/media/", "/srv/", "/mnt/"];
    let at = OF_TARGET.iter().filter_map(|start| word.find(start)).min();
    match at.filter(|at| *at == 0 || word[..*at].ends_with(['=', '"', '\'', '<', '>', '('])) {
        Some(at) => format!("{}{}{}", &word[..at], root.display(), &word[at..]),
        None => word.to_owned(),
    }
}

/// The command without who types it, and without a comment.
fn bare(command: &str) -> &str {
    let command = command.split_once("  #").map_or(command, |(command, _)| command).trim();
    command.strip_prefix("sudo ").unwrap_or(command)
}

/// What runs elsewhere is at least a command line that our own programs take.
fn is_understood(command: &str) -> Result<()> {
    let program = command.split(' ').next().unwrap_or_default();
    if program != "builder" && !is_ours(program) {
        return Ok(());
    }
    let site = Site::new()?;
    prepare("", &site)?;
    let package = scenario_package(&site)?;
    let command = command.replacen(program, if program == "builder" { program } else { &package }, 1);
    let typed = Typed { line: 0, command, printed: Vec::new() };
    let outcome = site.shell(&[&typed])?.remove(0);
    let refused = outcome.stderr.contains("For more information, try '--help'");
    ensure!(!refused && ![126, 127, -1].contains(&outcome.code), "{}: {outcome}", typed.command);
    Ok(())
}

fn scenario_package(site: &Site) -> Result<String> {
    run(site.scenario.builder()?.args(["--manifest", "AirGapDeploy.ollama.toml"]))?.exits(0)?;
    Ok(site.scenario.path("ollama-deploy.run").display().to_string())
}

/// Types what is typed on a page; gives how many commands ran here, and how many run elsewhere.
fn type_all(page: &Page) -> Result<(usize, usize)> {
    let mut here = Vec::new();
    let mut elsewhere = 0;
    for block in page.blocks.iter().filter(|block| !NOT_TYPED.contains(&block.language())) {
        let typed = block.typed();
        let place = format!("{}:{}", page.name, block.line);
        ensure!(!typed.is_empty(), "{place}: nothing is typed here; say what it is: ```console, ```sh, ```text…");
        for typed in typed {
            match ELSEWHERE.iter().find(|(command, ..)| *command == bare(&typed.command)) {
                Some(_) => {
                    is_understood(bare(&typed.command)).with_context(|| place.clone())?;
                    elsewhere += 1;
                }
                None => here.push((typed, block.is_recorded())),
            }
        }
    }
    if here.is_empty() {
        return Ok((0, elsewhere));
    }
    let site = Site::new()?;
    prepare(&page.name, &site)?;
    let commands: Vec<&Typed> = here.iter().map(|(typed, _)| typed).collect();
    let mut wrong = Vec::new();
    for ((typed, recorded), outcome) in here.iter().zip(site.shell(&commands)?) {
        let end = ENDS.iter().find(|(name, command, _)| *name == page.name && *command == typed.command);
        let unsaid =
            if *recorded { Vec::new() } else { typed.unsaid(&format!("{}{}", outcome.stdout, outcome.stderr)) };
        if outcome.code != end.map_or(0, |end| end.2) || !unsaid.is_empty() {
            wrong.push(format!("{}:{}: {}\nnot said: {unsaid:?}\n{outcome}", page.name, typed.line, typed.command));
        }
    }
    ensure!(wrong.is_empty(), "{} commands do not do what the page says:\n{}", wrong.len(), wrong.join("\n"));
    Ok((here.len(), elsewhere))
}

#[test]
fn every_command_in_the_documents_does_what_they_say() -> Result<()> {
    let (mut here, mut elsewhere, mut wrong) = (0, 0, Vec::new());
    for page in pages()? {
        if OWN_TEST.iter().any(|(name, ..)| *name == page.name) {
            elsewhere += page.blocks.iter().map(|block| block.typed().len()).sum::<usize>();
            continue;
        }
        if page.name == "docs/trust.md" && !is_root() {
            without_root("docs/trust.md, whose keys are root's");
            continue;
        }
        match type_all(&page) {
            Ok((ran, others)) => (here, elsewhere) = (here + ran, elsewhere + others),
            Err(error) => wrong.push(format!("{error:#}")),
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    writeln!(std::io::stderr(), "\ndocs: {here} commands ran here, {elsewhere} run in other tests")?;
    Ok(())
}

#[test]
fn what_runs_elsewhere_is_there() -> Result<()> {
    let pages = pages()?;
    let typed: BTreeSet<String> = pages
        .iter()
        .flat_map(|page| &page.blocks)
        .flat_map(e2e::docs::Block::typed)
        .map(|typed| bare(&typed.command).to_owned())
        .collect();
    for (command, test, words) in ELSEWHERE {
        ensure!(typed.contains(*command), "no document says {command:?} any more");
        let text = fs::read_to_string(workspace().join(test)).with_context(|| (*test).to_owned())?;
        ensure!(text.contains(words), "{test} does not run {command:?}: there is no {words}");
    }
    for (name, test, words) in OWN_TEST {
        ensure!(pages.iter().any(|page| page.name == *name), "there is no {name}");
        ensure!(fs::read_to_string(workspace().join(test))?.contains(words), "{test} does not type {name}");
    }
    Ok(())
}

#[test]
fn every_link_between_the_documents_leads_somewhere() -> Result<()> {
    let pages = pages()?;
    let mut followed = 0;
    for page in &pages {
        let directory = Path::new(&page.name).parent().context("a directory")?;
        for (line, link) in page.links.iter().filter(|(_, link)| !link.starts_with("https://")) {
            let place = format!("{}:{line}: {link}", page.name);
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let name = if path.is_empty() { page.name.clone() } else { directory.join(path).display().to_string() };
            ensure!(workspace().join(&name).exists(), "{place} is not there");
            // Nothing but docs/ is in the book.
            ensure!(page.name == "README.md" || !path.starts_with(".."), "{place} leads out of the book");
            if !anchor.is_empty() {
                let target = pages.iter().find(|page| page.name == name).with_context(|| place.clone())?;
                ensure!(target.anchors.contains(anchor), "{place}: no such heading, of {:?}", target.anchors);
            }
            followed += 1;
        }
    }
    ensure!(followed > 100, "only {followed} links were followed");
    Ok(())
}

/// Options of other programs that the documents name.
const OF_OTHERS: &[&str] = &["--check", "--diff", "--extra-vars", "--ignore-missing", "--mount", "--nocapture"];

/// Everything that looks like an option, as `--help` writes it.
fn options(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && !['-', '_'].contains(&c));
    let options = words.filter(|word| word.len() > 3 && word.starts_with("--") && !word.starts_with("---"));
    options.map(|word| word.trim_end_matches('-').to_owned()).collect()
}

/// Not what is said of another program, such as `groupadd --prefix DIR`.
fn is_about_us(text: &str) -> bool {
    let first = text.split([' ', '=']).next().unwrap_or_default();
    let ours = first == "builder" || is_ours(first) || first.starts_with("--");
    ours || text.contains(".run --")
}

#[test]
fn every_option_and_command_that_the_documents_name_is_there() -> Result<()> {
    let site = Site::new()?;
    prepare("", &site)?;
    let help = package(Path::new(&scenario_package(&site)?), &["--help"])?.exits(0)?.stdout;
    let completions = run(site.scenario.builder()?.args(["completions", "bash"]))?.exits(0)?.stdout;
    let mut known = options(&format!("{help} {completions}"));
    ensure!(known.len() > 50, "{known:?}");
    known.extend(OF_OTHERS.iter().map(|&option| option.to_owned()));
    let commands = run(site.scenario.builder()?.arg("--help"))?.exits(0)?.stdout;
    let (mut named, mut wrong) = (BTreeSet::new(), Vec::new());
    for page in pages()? {
        // What was recorded names options of other programs too.
        let blocks = page.blocks.iter().filter(|block| !block.is_recorded() && NOT_TYPED.contains(&block.language()));
        let texts = page.spans.iter().cloned().chain(blocks.map(|block| (block.line, block.text.clone())));
        for (line, text) in texts.filter(|(_, text)| is_about_us(text)) {
            let unknown: Vec<String> = options(&text).difference(&known).cloned().collect();
            let command = text.strip_prefix("builder ").and_then(|rest| rest.split(' ').next()).unwrap_or("-");
            let there = command.starts_with('-') || command == "FILE" || commands.contains(&format!("\n  {command} "));
            if !unknown.is_empty() || !there {
                wrong.push(format!("{}:{line}: `{text}`: {unknown:?}", page.name));
            }
            named.extend(options(&text));
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    ensure!(
        OF_OTHERS.iter().all(|option| named.contains(*option)),
        "{OF_OTHERS:?} has more than the documents: {named:?}"
    );
    Ok(())
}

#[test]
fn every_document_is_a_chapter_of_the_book() -> Result<()> {
    let pages = pages()?;
    let summary = pages.iter().find(|page| page.name == "docs/SUMMARY.md").context("no summary")?;
    let chapters: BTreeSet<String> = summary.links.iter().map(|(_, link)| format!("docs/{link}")).collect();
    let documents = pages.iter().filter(|page| page.name.starts_with("docs/") && page.name != summary.name);
    assert_eq!(chapters, documents.map(|page| page.name.clone()).collect());
    Ok(())
}

#[test]
#[ignore = "needs the book: make acceptance-docs"]
fn the_book_is_read_without_a_network() -> Result<()> {
    let directory = workspace().join("target/book");
    let built = book::pages(&directory)?;
    ensure!(built.len() >= pages()?.len(), "chapters are missing: {:?}", built.keys());
    let mut followed = 0;
    for (path, text) in &built {
        for reference in book::references(text) {
            let place = format!("{}: <{}> {}", path.display(), reference.tag, reference.to);
            ensure!(!reference.is_loaded() || !reference.is_remote(), "{place} is loaded from elsewhere");
            if reference.is_remote() || reference.to.starts_with("data:") || reference.to == "#" {
                continue;
            }
            let (to, anchor) = reference.to.split_once('#').unwrap_or((&reference.to, ""));
            let beside = path.parent().context("a directory")?;
            let to = if to.is_empty() { path.clone() } else { beside.join(to).components().collect() };
            ensure!(to.exists(), "{place} is not there");
            if !anchor.is_empty() {
                let there = built.get(&to).is_some_and(|text| book::anchors(text).contains(anchor));
                ensure!(there, "{place}: no such heading");
            }
            followed += 1;
        }
    }
    ensure!(followed > 1000, "only {followed} references were followed");
    for entry in fs::read_dir(directory.join("css"))? {
        for reference in book::of_style(&fs::read_to_string(entry?.path())?) {
            ensure!(!reference.is_remote(), "a style loads {}", reference.to);
        }
    }
    in_a_browser(&directory)
}

/// Opened as a file, in a network namespace of its own, it has its text, and the list of chapters that its script makes.
fn in_a_browser(directory: &Path) -> Result<()> {
    let there = run(Command::new("sh").args(["-c", "command -v chromium"]))?.code == 0;
    if !there || !is_root() {
        e2e::skip::skipped("the book in a browser needs root and chromium");
        return Ok(());
    }
    let profile = tempfile::tempdir()?;
    let options = ["--net", "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--dump-dom"];
    let mut browser = Command::new("unshare");
    browser.args(options).arg(format!("--user-data-dir={}", profile.path().display()));
    let seen = run(browser.arg(format!("file://{}/operating.html", directory.display())))?.exits(0)?.stdout;
    for words in ["What to do when", "class=\"chapter-item", "href=\"use-case.html\""] {
        ensure!(seen.contains(words), "{words}: {seen}");
    }
    Ok(())
}

/// docs/scale.md: seconds, MB and MB/s, as its formulas have them. The figures of its own measurements are looked for in it.
#[test]
fn what_the_page_on_many_hosts_computes_is_right() -> Result<()> {
    let text = fs::read_to_string(workspace().join("docs/scale.md"))?;
    for figure in [
        "0.56 / 0.85 GB/s",
        "| 0.15 s |",
        "| 41 / 23 |",
        "P = 20 GB",
        "117 MB/s",
        "1,170 MB/s",
        "200 MB/s",
        "120 s",
        "16 cores",
    ] {
        ensure!(text.contains(figure), "{figure} changed: compute the page again");
    }
    let (package, host) = (20_000.0, 20_000.0 / 560.0);
    let visit = |hosts: f64, tasks: f64| (hosts * tasks * 0.15 / 16.0).max(tasks * 0.15);
    let over = |link: f64, hosts: f64| visit(hosts, 41.0) + hosts * package / link + host;
    let rows: [(&str, &dyn Fn(f64) -> f64); 7] = [
        ("a stick for each host, one person", &|hosts| hosts * 120.0 + package / 200.0),
        ("`….yml`, 1 Gbit/s", &|hosts| over(116.0, hosts)),
        ("`….yml`, 10 Gbit/s", &|hosts| over(1170.0, hosts)),
        ("`…-share.yml`, one share, 10 Gbit/s", &|hosts| over(1170.0, hosts)),
        ("`…-mirror.yml`, a mirror for each 100 hosts, 10 Gbit/s", &|hosts| {
            visit(hosts, 41.0) + hosts.min(100.0) * package / 1170.0 + host
        }),
        ("`…-stick.yml`, sticks are plugged in", &|hosts| visit(hosts, 41.0) + package / 200.0),
        ("all are up to date", &|hosts| visit(hosts, 23.0)),
    ];
    for (way, seconds) in rows {
        let line = text.lines().find(|line| line.starts_with(&format!("| {way} |"))).context(way)?;
        let right = [1.0, 100.0, 10_000.0].map(|hosts| duration(seconds(hosts))).join(" | ");
        ensure!(line.ends_with(&format!("| {right} |")), "{line}: it is {right}");
    }
    for words in [
        format!("*host* is {host:.0} s"),
        format!("{:.0} s on a disk", package / 150.0),
        format!("10,000 hosts {:.0} minutes", visit(10_000.0, 41.0) / 60.0),
        format!("10,000 heads are {:.1} minutes", 30_000.0 / 116.0 / 60.0),
        format!("0.15 s / 2 = {:.1} s", 3.0 * 41.0 * 0.15 / 2.0),
        format!("{:.1} s where nothing is to do", 3.0 * 23.0 * 0.15 / 2.0),
    ] {
        ensure!(text.contains(&words), "it does not say {words}");
    }
    Ok(())
}

fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 90.0 => format!("{s:.0} s"),
        s if s < 90.0 * 60.0 => format!("{:.0} min", s / 60.0),
        s if s < 48.0 * 3600.0 => format!("{:.1} h", s / 3600.0),
        s => format!("{:.0} days", s / 86400.0),
    }
}
