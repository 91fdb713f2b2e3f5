//! What `--format ansible` writes: everything a controller without a network needs, the same bytes every time, over
//! nobody's files. Linters and the real ansible-galaxy look at it in the ignored test.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::command::{argv, succeed};
use e2e::controller::{BOUND, Controller};
use e2e::scenario::outcome::run;
use e2e::scenario::tree::digest;
use e2e::scenario::{Scenario, package, sample};
use e2e::skip::needs_root;
use serde_json::Value;

const ARCHIVE: &str = "ansible/airgap_deploy-sample-1.2.3.tar.gz";

fn generate(scenario: &Scenario, manifest: &str, output: &str) -> Result<()> {
    sample::write_inputs(scenario)?;
    scenario.write("AirGapDeploy.toml", manifest)?;
    run(scenario.builder()?.args(["--format", "ansible", "--output", output]))?.exits(0)?;
    Ok(())
}

fn unpack(scenario: &Scenario, archive: &Path) -> Result<std::path::PathBuf> {
    let directory = scenario.directory("unpacked")?;
    run(Command::new("tar").arg("-xzf").arg(archive).arg("-C").arg(&directory))?.exits(0)?;
    Ok(directory)
}

fn files(directory: &Path) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut directories = vec![directory.to_owned()];
    while let Some(next) = directories.pop() {
        for entry in fs::read_dir(next)? {
            let path = entry?.path();
            if path.is_dir() {
                directories.push(path);
            } else {
                found.insert(path.strip_prefix(directory)?.display().to_string(), fs::read(&path)?);
            }
        }
    }
    Ok(found)
}

#[test]
fn the_same_package_gives_the_same_role_and_nothing_is_left_of_the_templates() -> Result<()> {
    let (one, two) = (Scenario::new()?, Scenario::new()?);
    generate(&one, sample::MANIFEST, "package.run")?;
    generate(&two, sample::MANIFEST, "package.run")?;
    let (one, two) = (files(&one.path("ansible"))?, files(&two.path("ansible"))?);
    ensure!(one == two, "two builds differ");
    for play in ["sample", "sample-share", "sample-mirror", "sample-stick", "sample-status", "sample-uninstall"] {
        let text = one.get(&format!("{play}.yml")).with_context(|| format!("there is no play {play}"))?;
        for variable in ["hosts", "serial", "max_fail_percentage"] {
            let known = String::from_utf8_lossy(text).contains(&format!("sample_{variable} | default("));
            ensure!(known, "{play} does not know {variable}");
        }
    }
    for (path, bytes) in one.iter().filter(|(path, _)| is_text(path)) {
        let text = std::str::from_utf8(bytes)?;
        ensure!(!text.contains('@'), "{path} has something left of its template");
        for line in text.lines().filter(|line| line.contains("ansible.") && line.trim_end().ends_with(':')) {
            ensure!(line.trim().trim_start_matches("- ").starts_with("ansible.builtin."), "{path}: {line}");
        }
    }
    Ok(())
}

#[test]
fn the_beginning_of_a_package_is_enough_for_its_plan() -> Result<()> {
    let scenario = Scenario::new()?;
    generate(&scenario, sample::MANIFEST, "package.run")?;
    let whole = scenario.path("package.run");
    let head = scenario.path("head.run");
    fs::copy(scenario.path("ansible/roles/sample/files/sample.head"), &head)?;
    ensure!(fs::metadata(&head)?.len() < fs::metadata(&whole)?.len(), "the head is the whole package");
    fs::File::options().write(true).open(&head)?.set_len(fs::metadata(&whole)?.len())?;
    let root = scenario.target("root")?.display().to_string();
    let program = head.display().to_string();
    let plan = |payload: &Path| -> Result<Value> {
        let payload = payload.display().to_string();
        let mut command = argv(&[&program, "--payload", &payload, "--dry-run", "--json", "--root", &root])?;
        Ok(run(&mut command)?.exits(0)?.json()?["steps"].clone())
    };
    fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let steps = plan(&head)?;
    ensure!(steps.as_array().is_some_and(|steps| !steps.is_empty()), "there is nothing in the plan");
    assert_eq!(steps, plan(&whole)?);
    let about: Value = serde_json::from_str(&package(&whole, &["--version", "--json"])?.stdout)?;
    let variables = fs::read_to_string(scenario.path("ansible/roles/sample/vars/main.yml"))?;
    ensure!(variables.contains(about["index"].as_str().context("no index")?), "{about}\n{variables}");
    ensure!(variables.contains(&digest(&whole)?.hex()), "{variables}");
    // In volumes it is the same package, with the digest of each, and the first is enough for the plan.
    let shipped = fs::metadata(scenario.path("ansible/roles/sample/files/sample.head"))?.len();
    let half = (fs::metadata(&whole)?.len() / 2).max(shipped + 4096).next_multiple_of(1000);
    let cut = ["--format", "ansible", "--chunk-size", &half.to_string(), "--output", "cut/package.run"];
    fs::create_dir(scenario.path("cut"))?;
    run(scenario.builder()?.args(cut))?.exits(0)?;
    let variables = fs::read_to_string(scenario.path("cut/ansible/roles/sample/vars/main.yml"))?;
    let volumes = ["cut/package.run", "cut/package.run.002"].map(|name| scenario.path(name));
    for volume in &volumes {
        ensure!(variables.contains(&digest(volume)?.hex()), "{} is not in {variables}", volume.display());
    }
    let length = fs::metadata(&volumes[1])?.len();
    fs::File::create(&volumes[1])?.set_len(length)?;
    assert_eq!(steps, plan(&volumes[0])?);
    // What has no content is never installed.
    let below = ["--payload", &program, "--install", "--root", &root];
    run(argv(&[&[program.as_str()][..], &below].concat())?.env_clear())?.exits(10)?;
    Ok(())
}

#[test]
fn the_collection_lists_its_files_and_stands_in_the_inventory() -> Result<()> {
    let scenario = Scenario::new()?;
    generate(&scenario, sample::MANIFEST, "package.run")?;
    let page = fs::read_to_string(scenario.path("package.run.html"))?;
    let archive = scenario.path(ARCHIVE);
    ensure!(page.contains(ARCHIVE) && page.contains(&digest(&archive)?.to_string()), "{page}");
    let directory = unpack(&scenario, &archive)?;
    let list = fs::read(directory.join("FILES.json"))?;
    let manifest: Value = serde_json::from_slice(&fs::read(directory.join("MANIFEST.json"))?)?;
    assert_eq!(manifest["collection_info"]["version"], "1.2.3");
    assert_eq!(manifest["file_manifest_file"]["chksum_sha256"], payload::Digest::of(&list).hex());
    let list: Value = serde_json::from_slice(&list)?;
    let mut listed = BTreeMap::new();
    for file in list["files"].as_array().context("no files")?.iter().filter(|file| file["ftype"] == "file") {
        listed.insert(file["name"].as_str().unwrap_or_default().to_owned(), file["chksum_sha256"].clone());
    }
    let mut there = files(&directory)?;
    there.retain(|name, _| !["FILES.json", "MANIFEST.json"].contains(&name.as_str()));
    let there: BTreeMap<String, Value> =
        there.into_iter().map(|(name, bytes)| (name, payload::Digest::of(&bytes).hex().into())).collect();
    assert_eq!(listed, there);
    Ok(())
}

#[test]
fn nothing_that_no_builder_wrote_for_this_package_is_replaced() -> Result<()> {
    let scenario = Scenario::new()?;
    sample::write_inputs(&scenario)?;
    scenario.write("AirGapDeploy.toml", sample::MANIFEST)?;
    let build = |output: &str| run(scenario.builder()?.args(["--format", "ansible", "--output", output]));
    scenario.write("ansible/sample.yml", "- hosts: all\n")?;
    build("package.run")?.exits(44)?.says("ansible/sample.yml was left as it is")?;
    ensure!(!scenario.path("package.run").exists(), "it was built nevertheless");
    fs::remove_file(scenario.path("ansible/sample.yml"))?;
    build("{{ x }}.run")?.exits(44)?.says("--output PATH")?;
    build("package.run")?.exits(0)?;
    build("package.run")?.exits(0)?;
    // As the package for ARM in the same directory would have left it.
    let role = fs::read_to_string(scenario.path("ansible/sample-share.yml"))?;
    scenario.write("ansible/sample-share.yml", role.replace("on x86_64.", "on aarch64."))?;
    build("package.run")?.exits(44)?.says("the other architecture")?.says("a directory for each architecture")?;
    scenario.write("ansible/sample-share.yml", role)?;
    // Another package whose role would have the same name.
    scenario.write("AirGapDeploy.toml", sample::MANIFEST.replace("\"sample\"", "\"Sample\""))?;
    build("other.run")?.exits(44)?.says("no builder wrote it for this package")?;
    Ok(())
}

#[test]
#[ignore = "installs Ansible and its linters: make acceptance"]
fn linters_at_their_strictest_and_ansible_galaxy_take_it() -> Result<()> {
    let controller = Controller::provide()?;
    let long = format!("{}-{}", "a-name-that-is-long-x".repeat(2), "y".repeat(21));
    let odd =
        sample::MANIFEST.replace("\"Something of everything\"", "\"{{ lookup('pipe', 'id') }}: 100 % \\\"ä\\\" #\"");
    for (name, manifest) in [("sample", odd), (&long, sample::MANIFEST.replace("\"sample\"", &format!("\"{long}\"")))] {
        let scenario = Scenario::new()?;
        generate(&scenario, &manifest, "package.run")?;
        let directory = scenario.path("ansible");
        succeed(controller.tool("yamllint")?.args(["--strict", "."]).current_dir(&directory), BOUND)?;
        let options = ["--profile", "production", "--strict", "--offline", "--enable-list", "only-builtins"];
        let linted = succeed(controller.tool("ansible-lint")?.args(options).current_dir(&directory), BOUND)?;
        ensure!(linted.both().contains("0 failure(s), 0 warning(s)"), "{name}: {}", linted.describe());
        let archive = fs::read_dir(&directory)?.flatten().map(|entry| entry.path());
        let archive = archive.into_iter().find(|path| path.extension().is_some_and(|kind| kind == "gz"));
        let archive = archive.context("there is no collection")?;
        is_as_galaxy_makes_it(&controller, &scenario, &archive)?;
    }
    Ok(())
}

/// The real tool installs the collection, lints what is in it, and makes the same lists of the same files.
fn is_as_galaxy_makes_it(controller: &Controller, scenario: &Scenario, archive: &Path) -> Result<()> {
    let installed = scenario.directory("installed")?;
    let galaxy = |arguments: &[&str], path: &Path| -> Result<()> {
        succeed(controller.tool("ansible-galaxy")?.arg("collection").args(arguments).arg(path), BOUND)?;
        Ok(())
    };
    let below = installed.display().to_string();
    galaxy(&["install", "--offline", "-p", &below], archive)?;
    let ours = unpack(scenario, archive)?;
    let read = |path: std::path::PathBuf| -> Result<Value> { Ok(serde_json::from_slice(&fs::read(path)?)?) };
    let info = read(ours.join("MANIFEST.json"))?["collection_info"].clone();
    let name = info["name"].as_str().context("no name")?;
    let theirs = files(&installed.join("ansible_collections/airgap_deploy").join(name))?;
    assert_eq!(theirs, files(&ours)?, "what is installed is what is in the archive");

    let mut play = controller.tool("ansible-playbook")?;
    play.env("ANSIBLE_COLLECTIONS_PATH", &below).args(["-i", "localhost,", "--syntax-check"]);
    succeed(play.arg(format!("airgap_deploy.{name}.install")), BOUND)?;

    let source = scenario.directory("source")?;
    run(Command::new("cp").args(["-a"]).arg(ours.join(".")).arg(&source))?.exits(0)?;
    for made in ["MANIFEST.json", "FILES.json"] {
        fs::remove_file(source.join(made))?;
    }
    let mut galaxy_yml = info.as_object().context("no facts")?.clone();
    galaxy_yml.retain(|_, value| !value.is_null());
    fs::write(source.join("galaxy.yml"), serde_json::to_vec(&galaxy_yml)?)?;
    let built = scenario.directory("built")?;
    galaxy(&["build", "--output-path", &built.display().to_string()], &source)?;
    let theirs = fs::read_dir(&built)?.next().context("ansible-galaxy built nothing")??.path();
    assert_eq!(theirs.file_name(), archive.file_name());
    let again = scenario.directory("again")?;
    run(Command::new("tar").arg("-xzf").arg(theirs).arg("-C").arg(&again))?.exits(0)?;
    let list = |directory: &Path| -> Result<Vec<String>> {
        let list = read(directory.join("FILES.json"))?;
        let mut all: Vec<String> =
            list["files"].as_array().context("no files")?.iter().map(ToString::to_string).collect();
        all.sort();
        Ok(all)
    };
    assert_eq!(list(&ours)?, list(&again)?, "FILES.json");
    assert_eq!(info, read(again.join("MANIFEST.json"))?["collection_info"], "MANIFEST.json");
    Ok(())
}

fn is_text(path: &str) -> bool {
    Path::new(path).extension().is_some_and(|kind| kind == "yml" || kind == "md")
}

/// What the plays change lies on file systems of their own, and the mirror is in a network of their own.
const PLAYS: &str = r#"
ip link set lo up
for place in /opt /var/lib /var/log /var/cache /media /srv /run; do mount -t tmpfs tmpfs "$place"; done
mkdir /run/above /run/work; mount -t overlay overlay -o lowerdir=/etc,upperdir=/run/above,workdir=/run/work /etc
cd "$1"
mkdir "it, is; an odd: place"; mv ansible big.run* small.run weights.bin ./*.pub "it, is; an odd: place"; cd "it, is; an odd: place"
tool=$2
play() {
    file=$1; shift
    "$tool" -i localhost, -c local -e ansible_become=false -e ansible_python_interpreter=/usr/bin/python3 \
        -e big_reports= -e big_poll=1 -e big_retries=1 "ansible/$file.yml" "$@" > said 2>&1
}
must() { play "$@" || { cat said; echo "failed: $*"; exit 1; }; }
stops() {
    why=$1; shift
    if play "$@"; then cat said; echo "did not fail: $*"; exit 1; fi
    grep -q "$why" said || { cat said; echo "does not say $why: $*"; exit 1; }
    test ! -e /opt/big
}
keys() { echo "{\"big_trusted_keys\":[\"$PWD/$1.pub\"]}"; }
same() { cmp weights.bin /opt/big/weights.bin; test -z "$(ls -A /var/cache)"; }

mkdir /run/noexec; mount -t tmpfs -o noexec tmpfs /run/noexec
stops "programs may not be run there" big --check -e big_work_directory=/run/noexec
cp ansible/roles/big/files/big.head "$1/elsewhere"; chmod +x "$1/elsewhere"; printf '\267' | dd of="$1/elsewhere" bs=1 seek=18 conv=notrunc status=none
stops "this machine is another one than x86_64" big -e "big_installer=$1/elsewhere"

mkdir -p "/media/a stick" /media/b /media/c/deep /srv/one /srv/two
cp big.run "/media/a stick"; cp big.run.002 /media/b; cp big.run.003 /media/c/deep
must big-stick --check; test ! -e /opt/big
must big-stick; same
must big-stick; grep -q "changed=0" said
must big-uninstall
cp big.run.003 /media/b/big.run.002
stops "holds volume 3 of this package" big-stick --check
rm /media/b/big.run.002
stops "big.run.002: not there" big-stick --check
stops "big.run.002: not there" big-stick
cp big.run big.run.003 /srv/one; cp big.run.002 /srv/two
stops "big.run.002: not there" big-share -e big_share=/srv/one/big.run
must big-share -e big_share=/srv/one/big.run -e '{"big_volumes": ["/srv/two"]}'; same
must big-uninstall

must big --check; test ! -e /opt/big
must big -e big_keep=no -e big_options= -e big_include=all; same
must big; grep -q "changed=0" said
# Of a play that was interrupted.
left=/var/lib/.airgap-deploy-play.big.left; mkdir /var/cache/airgap-deploy.big $left; touch -d "2 days ago" $left
must big --check; grep -q "changed=1" said
must big; same; test ! -e $left
"${tool%/*}/ansible-galaxy" collection install --offline -p "$1/collections" ansible/airgap_deploy-big-*.tar.gz
ANSIBLE_COLLECTIONS_PATH=$1/collections "$tool" -i localhost, -c local -e ansible_become=false \
    -e ansible_python_interpreter=/usr/bin/python3 airgap_deploy.big.status
grep -q '"exit_code": 0' reports/big-localhost.json
touch /opt/big/later
must big-uninstall -e big_purge=false; rm /opt/big/later; rmdir /opt/big

# Two packages in one play, one of them twice: nothing of one is taken for something of another.
both() { must both -e small_reports= "$@"; }
echo '[{hosts: all, gather_facts: false, roles: [big, small], tasks: [{include_role: {name: big}}]}]' > ansible/both.yml
both --check -e "$(keys site)"; test "$(echo /opt/*)" = "/opt/*"
both; same; cmp /opt/small/weights.bin weights.bin
both; grep -q "changed=0" said
must big-uninstall; must small-uninstall -e small_reports=

# Of the keys that the role placed, those in its list are trusted: check mode says what the play does.
trusted=/etc/airgap-deploy/trusted-keys
must big --check -e "$(keys site)"; test ! -e /etc/airgap-deploy
must big -e "$(keys site)"; same; test -e $trusted/big.site.pub
must big -e "$(keys site)"; grep -q "changed=0" said
must big; test -e $trusted/big.site.pub
must big-uninstall
stops "the package is not trusted" big --check -e "$(keys other)"; test -e $trusted/big.site.pub
stops "the package is not trusted" big -e "$(keys other)"; test "$(ls $trusted)" = big.other.pub
must big-stick --check -e "$(keys site)" -e "{\"big_media\":[\"$PWD\"]}"
must big-share --check -e "$(keys site)" -e big_share=/srv/one/big.run -e '{"big_volumes": ["/srv/two"]}'
test "$(ls $trusted)" = big.other.pub
must big -e "$(keys site)"; same; test "$(ls $trusted)" = big.site.pub

# The installer that stays is brought back.
rm /var/lib/airgap-deploy/big/airgap-deploy
if play big-uninstall; then exit 1; fi
grep -q "a play that installs writes it again" said
must big --check; grep -q "changed=1" said
must big; must big-status
must big; grep -q "changed=0" said
must big-uninstall
rm -r $trusted
mount -t tmpfs -o size=14m tmpfs /var/cache
stops "out of disk space: /var/cache" big --check
umount /var/cache
mkdir mirror; cp big.run big.run.002 big.run.003 mirror; mv big.run.002 away
stops "big.run.002 is not in" big --check
python3 -m http.server --bind 127.0.0.1 --directory mirror 8000 > served 2>&1 & server=$!
from="-e big_mirror=http://127.0.0.1:8000"
must big-mirror --check $from -e big_retries=9; test -z "$(grep GET served)"
printf X | dd of=mirror/big.run.002 bs=1 seek=5000 conv=notrunc status=none
stops "checksum" big-mirror $from
cp away mirror/big.run.002
must big-mirror $from; same
test "$(grep -c 'GET /big.run ' served)" = 1 # What had arrived was not fetched again.
must big-mirror $from; grep -q "changed=0" said
must big-uninstall
rm mirror/big.run.003
stops "big.run.003" big-mirror --check $from
kill $server
"#;
/// A hang is found; slowness alone is not one.
const PLAYED_WITHIN: Duration = Duration::from_secs(3 * 3600);

#[test]
#[ignore = "installs Ansible: make acceptance-fleet"]
fn volumes_arrive_from_sticks_shares_controller_and_mirror() -> Result<()> {
    if needs_root() {
        return Ok(());
    }
    let controller = Controller::provide()?;
    let scenario = Scenario::new()?;
    scenario.write("weights.bin", e2e::scenario::gguf::noise("weights", 15 << 20))?;
    let manifest = "[package]\nname = \"big\"\nversion = \"1.0.0\"\n[install]\nprefix = \"/opt/big\"\ncommand = false\n\
                    [[components]]\ntype = \"config-file\"\nname = \"weights\"\ninstall_path = \"weights.bin\"\n\
                    source = { type = \"file\", path = \"weights.bin\" }\n";
    scenario.write("big.toml", manifest)?;
    for name in ["site.key", "other.key"] {
        run(scenario.builder()?.args(["keygen", "--no-password", name]))?.exits(0)?;
    }
    run(scenario.builder()?.args([
        "big.toml",
        "--format",
        "ansible",
        "--chunk-size",
        "8MB",
        "--sign-key",
        "site.key",
    ]))?
    .exits(0)?;
    ensure!(scenario.path("big.run.003").exists(), "there are not three volumes");
    scenario.write("small.toml", manifest.replace("big", "small"))?;
    run(scenario.builder()?.args(["small.toml", "--format", "ansible", "--sign-key", "site.key"]))?.exits(0)?;
    let tool = controller.tool("ansible-playbook")?;
    let mut plays = argv(&["unshare", "--mount", "--net", "sh", "-ec", PLAYS, "sh"])?;
    succeed(plays.arg(scenario.path("")).arg(tool.get_program()), PLAYED_WITHIN)?;
    Ok(())
}
