//! Models for an Ollama that a machine has already, below a root: they go into its store with its owner, whoever
//! installed it, and nothing of anybody's goes with them again. A living service is in `acceptance.rs`.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use anyhow::{Result, ensure};
use e2e::scenario::outcome::Outcome;
use e2e::scenario::tree::Tree;
use e2e::scenario::{Scenario, gguf, package_below, sample};
use e2e::skip::{is_root, needs_root, without_root};

const STORE: &str = "usr/share/ollama/.ollama/models";
const UID: u32 = 998;
/// As the official script leaves it.
const UNIT: &str = "[Unit]\nDescription=Ollama Service\nAfter=network-online.target\n\n[Service]\n\
                    ExecStart=/usr/local/bin/ollama serve\nUser=ollama\nGroup=ollama\nRestart=always\nRestartSec=3\n\
                    Environment=\"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin\"\n\n[Install]\n\
                    WantedBy=default.target\n";

/// A package of models alone, of these names; a model's content follows from its name.
fn update(scenario: &Scenario, models: &[&str]) -> Result<std::path::PathBuf> {
    let mut manifest = sample::HEAD.replace("sample", "update");
    for model in models {
        let name = model.replace(':', "-");
        scenario.write(&format!("inputs/{name}.gguf"), gguf::noise(&model.replace(":two", ""), 1 << 16))?;
        write!(
            manifest,
            "[[components]]\ntype = \"model-file\"\nname = \"{name}\"\nmodel = \"{model}\"\n\
             source = {{ type = \"file\", path = \"inputs/{name}.gguf\" }}\ninstall_path = \"models/{name}.gguf\"\n"
        )?;
    }
    scenario.build(&manifest)
}

/// A machine on which the official script has been.
fn official(scenario: &Scenario, name: &str) -> Result<std::path::PathBuf> {
    let root = scenario.target(name)?;
    let write = |path: &str, text: &str| scenario.write(&format!("{name}/{path}"), text);
    write("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nollama:x:998:997::/usr/share/ollama:/bin/false\n")?;
    write("etc/group", "root:x:0:\nollama:x:997:\n")?;
    write("usr/local/bin/ollama", "program")?;
    write("etc/systemd/system/ollama.service", UNIT)?;
    fs::create_dir_all(root.join("usr/share/ollama"))?;
    if is_root() {
        std::os::unix::fs::chown(root.join("usr/share/ollama"), Some(UID), Some(997))?;
    }
    Ok(root)
}

fn manifest(store: &str, model: &str) -> String {
    format!("{store}/manifests/registry.ollama.ai/library/{}", model.replace(':', "/"))
}

fn blobs(root: &Path, store: &str) -> Result<Vec<String>> {
    let names = fs::read_dir(root.join(store).join("blobs"))?;
    let mut names: Vec<String> =
        names.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect::<Result<_>>()?;
    names.sort();
    Ok(names)
}

fn install(run: &Path, root: &Path) -> Result<Outcome> {
    package_below(run, root, &["--install"])?.exits(0)
}

#[test]
fn models_go_to_the_store_of_the_official_installation_with_its_owner() -> Result<()> {
    if needs_root() {
        return Ok(());
    }
    let scenario = Scenario::new()?;
    let root = official(&scenario, "root")?;
    let run = update(&scenario, &["mistral:latest"])?;
    let before = Tree::of(&root)?;
    let shown = package_below(&run, &root, &["--dry-run"])?.exits(0)?;
    ensure!(shown.stdout.contains(&format!("models go to /{STORE}: ollama.service runs Ollama as ollama")), "{shown}");
    before.equals(&Tree::of(&root)?)?;
    install(&run, &root)?;
    ensure!(!root.join("opt/ollama").exists(), "the package made a prefix that nobody needs");
    for made in [".ollama", ".ollama/models", ".ollama/models/blobs", ".ollama/models/mistral-latest.gguf"] {
        let facts = fs::metadata(root.join("usr/share/ollama").join(made))?;
        ensure!((facts.uid(), facts.gid()) == (UID, 997), "{made} belongs to {}:{}", facts.uid(), facts.gid());
    }
    ensure!(fs::metadata(root.join(manifest(STORE, "mistral:latest")))?.uid() == UID);
    install(&run, &root)?.says("nothing was changed")?;
    package_below(&run, &root, &["--status"])?.exits(0)?;
    package_below(&run, &root, &["--uninstall"])?.exits(0)?;
    let paths = |tree: &Tree| tree.0.iter().map(|(path, node)| (path.clone(), node.uid, node.mode)).collect::<Vec<_>>();
    ensure!(paths(&before) == paths(&Tree::of(&root)?), "the uninstallation left something, or took too much");
    Ok(())
}

#[test]
fn the_store_is_where_the_drop_ins_say_and_unclear_ones_are_refused() -> Result<()> {
    without_root("the owner of the store");
    let scenario = Scenario::new()?;
    let run = update(&scenario, &["mistral:latest"])?;
    let drop_in = "etc/systemd/system/ollama.service.d/override.conf";
    for (text, store) in [
        ("[Service]\nEnvironment=\"OLLAMA_MODELS=/srv/big disk/models\"\n", "srv/big disk/models"),
        ("[Service]\nEnvironment=HOME=/srv/home\n", "srv/home/.ollama/models"),
        ("[Service]\nEnvironment=A=1 \\\n  OLLAMA_MODELS=/srv/continued\n", "srv/continued"),
        ("[Service]\nEnvironmentFile=-/etc/default/ollama\nEnvironment=OLLAMA_MODELS=/no\n", "data/models"),
    ] {
        let root = official(&scenario, &format!("root-{}", store.len()))?;
        fs::create_dir_all(root.join(drop_in).parent().expect("a parent"))?;
        fs::write(root.join(drop_in), text)?;
        fs::create_dir_all(root.join("etc/default"))?;
        fs::write(root.join("etc/default/ollama"), "# where\nOLLAMA_MODELS=/data/models\n")?;
        install(&run, &root)?;
        ensure!(root.join(manifest(store, "mistral:latest")).exists(), "not in {store}");
    }
    let root = official(&scenario, "elsewhere-in-a-file")?;
    let text = fs::read_to_string(root.join("etc/systemd/system/ollama.service"))?;
    let text = text.replace("[Install]", "EnvironmentFile=/etc/ollama.conf\n\n[Install]");
    fs::write(root.join("etc/systemd/system/ollama.service"), text)?;
    fs::write(root.join("etc/ollama.conf"), "OLLAMA_DEBUG=1\nOLLAMA_MODELS=/srv/my models\n")?;
    install(&run, &root)?;
    ensure!(root.join(manifest("srv/my models", "mistral:latest")).exists());
    let root = official(&scenario, "unclear")?;
    fs::create_dir_all(root.join(drop_in).parent().expect("a parent"))?;
    for unclear in ["%S/models", "models", "/root/models", "/tmp/models"] {
        fs::write(root.join(drop_in), format!("[Service]\nEnvironment=OLLAMA_MODELS={unclear}\n"))?;
        let before = Tree::of(&root)?;
        package_below(&run, &root, &["--install"])?.exits(23)?.says("which store the models belong in")?;
        before.equals(&Tree::of(&root)?)?;
    }
    if needs_root() {
        return Ok(());
    }
    // The service's own account may lead the link elsewhere while files are placed.
    let root = official(&scenario, "linked")?;
    fs::create_dir_all(root.join("data/models"))?;
    fs::create_dir_all(root.join("usr/share/ollama/.ollama"))?;
    std::os::unix::fs::chown(root.join("usr/share/ollama/.ollama"), Some(UID), Some(997))?;
    std::os::unix::fs::symlink("/data/models", root.join(STORE))?;
    let refused = package_below(&run, &root, &["--install"])?.exits(23)?;
    refused.says("the link models may have been placed by somebody else")?.says("set OLLAMA_MODELS")?;
    Ok(())
}

#[test]
fn the_service_may_run_as_anybody() -> Result<()> {
    if needs_root() {
        return Ok(());
    }
    let scenario = Scenario::new()?;
    let run = update(&scenario, &["mistral:latest"])?;
    for (user, group, is) in
        [("llm", None, (1500, 1501)), ("1500", None, (1500, 1501)), ("llm", Some("997"), (1500, 997))]
    {
        let root = official(&scenario, &format!("root-{user}-{}", group.unwrap_or("own")))?;
        scenario.write("passwd", "root:x:0:0:root:/root:/bin/sh\nllm:x:1500:1501:AI:/srv/llm:/bin/bash\n")?;
        fs::copy(scenario.path("passwd"), root.join("etc/passwd"))?;
        fs::write(root.join("etc/group"), "root:x:0:\nollama:x:997:\nllm:x:1501:\n")?;
        let group = group.map_or_else(String::new, |group| format!("Group={group}\n"));
        let unit = UNIT.replace("Group=ollama\n", &group).replace("User=ollama", &format!("User={user}"));
        fs::write(root.join("etc/systemd/system/ollama.service"), unit)?;
        install(&run, &root)?.says("ollama.service runs Ollama as llm")?;
        let facts = fs::metadata(root.join(manifest("srv/llm/.ollama/models", "mistral:latest")))?;
        ensure!((facts.uid(), facts.gid()) == is, "{user}: {}:{}", facts.uid(), facts.gid());
    }
    Ok(())
}

#[test]
fn a_model_that_is_dropped_goes_but_not_what_a_model_of_somebody_else_needs() -> Result<()> {
    without_root("the owner of the store");
    let scenario = Scenario::new()?;
    let root = official(&scenario, "root")?;
    let both = update(&scenario, &["one:latest", "two:latest"])?;
    let both_kept = scenario.path("both.run");
    fs::rename(&both, &both_kept)?;
    install(&both_kept, &root)?;
    // Somebody makes a model of their own from one of the package's, as `ollama create` and `ollama cp` do.
    let (theirs, gone) = (root.join(manifest(STORE, "mine:v1")), root.join(manifest(STORE, "two:latest")));
    fs::create_dir_all(theirs.parent().expect("a parent"))?;
    fs::copy(root.join(manifest(STORE, "two:latest")), &theirs)?;
    let all = blobs(&root, STORE)?;
    let one = update(&scenario, &["one:latest"])?;
    install(&one, &root)?.says("the model mine:v1 needs it, so it stays")?;
    ensure!(!gone.exists() && blobs(&root, STORE)? == all, "blobs of a model that is there are gone");
    // Without it, the blobs go with the next version.
    let kept = fs::read(&theirs)?;
    fs::remove_dir_all(theirs.parent().expect("a parent"))?;
    install(&both_kept, &root)?;
    install(&one, &root)?;
    ensure!(blobs(&root, STORE)?.len() < all.len(), "blobs of a dropped model stay");
    // The uninstallation spares them too.
    install(&both_kept, &root)?;
    fs::create_dir_all(theirs.parent().expect("a parent"))?;
    fs::write(&theirs, kept)?;
    package_below(&one, &root, &["--uninstall", "--dry-run"])?.exits(32)?.says("needed by the model mine:v1")?;
    package_below(&one, &root, &["--uninstall"])?.exits(32)?;
    let text = fs::read_to_string(&theirs)?;
    let left = blobs(&root, STORE)?;
    ensure!(!left.is_empty() && left.iter().all(|blob| text.contains(&blob.replace('-', ":"))), "{left:?}");
    Ok(())
}

#[test]
fn purge_names_the_models_of_others_that_go() -> Result<()> {
    let scenario = Scenario::new()?;
    let root = scenario.target("root")?;
    let run = update(&scenario, &["one:latest"])?;
    install(&run, &root)?.says("no Ollama was found")?;
    let theirs = root.join(manifest("opt/ollama/models", "mine:v1"));
    fs::create_dir_all(theirs.parent().expect("a parent"))?;
    fs::copy(root.join(manifest("opt/ollama/models", "one:latest")), &theirs)?;
    let shown = package_below(&run, &root, &["--uninstall", "--purge", "--dry-run"])?.exits(0)?;
    shown.says("also removes models that did not come with the package: mine:v1")?;
    package_below(&run, &root, &["--uninstall", "--purge"])?.exits(0)?;
    ensure!(!root.join("opt/ollama").exists());
    Ok(())
}

#[test]
fn a_blob_that_is_there_already_is_shared_whatever_its_owner() -> Result<()> {
    without_root("the owner of the store");
    let scenario = Scenario::new()?;
    let root = official(&scenario, "root")?;
    let run = update(&scenario, &["one:latest"])?;
    install(&run, &root)?;
    let weights = blobs(&root, STORE)?;
    // Now they are somebody else's: the receipt is gone.
    fs::remove_dir_all(root.join("var"))?;
    fs::remove_dir_all(root.join(STORE).join("manifests"))?;
    fs::remove_file(root.join(STORE).join("one-latest.gguf"))?;
    for blob in &weights {
        fs::set_permissions(root.join(STORE).join("blobs").join(blob), fs::Permissions::from_mode(0o444))?;
    }
    install(&run, &root)?;
    package_below(&run, &root, &["--uninstall"])?.exits(0)?;
    ensure!(blobs(&root, STORE)? == weights, "somebody else's blobs went along");
    Ok(())
}
