//! Three machines at once, over SSH, with the real Ansible and what the builder wrote for it: one is empty, one has no room,
//! one is up to date already. Then more packages beside the first, from a share, a stick and a mirror. `make acceptance`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e::command::{argv, succeed, wait_until};
use e2e::fleet::{CONTROLLER, Fleet, Play, Recap};
use e2e::scenario::gguf;
use e2e::tree::Tree;
use e2e::{exporter, httpd};
use tempfile::TempDir;

const HOSTS: [&str; 3] = ["empty", "full", "current"];
const BUILT_WITHIN: Duration = Duration::from_secs(5 * 60);
const SOON: Duration = Duration::from_secs(30);
const UNCHANGED: Recap = Recap { changed: 0, failed: 0 };

#[test]
#[ignore = "needs root, systemd-nspawn and Ansible; run by `make acceptance`"]
fn each_host_ends_as_it_should() -> Result<()> {
    let media = Media::build()?;
    let fleet = Fleet::boot(&HOSTS, media.path())?;
    let test = Test { fleet, media };
    let empty = test.trees()?;
    test.fleet.machine("full")?.must(&["mount", "-t", "tmpfs", "-o", "size=1m,mode=755", "tmpfs", "/opt"])?;
    let install = ["/media/usb/one/demo.run", "--install", "--enable", "--start"];
    test.fleet.machine("current")?.must(&install)?;

    test.check_mode_changes_nothing()?;
    test.the_play_ends_right_for_each()?;
    test.fleet.machine("full")?.must(&["umount", "/opt"])?;
    test.a_service_arrives_from_a_stick_alone_and_beside_another()?;
    test.two_services_arrive_from_a_mirror_and_start_in_order()?;
    test.a_roll_stops_when_too_many_fail()?;
    test.an_upgrade_rolls_over_the_hosts_from_a_share()?;
    test.hosts_that_trust_a_key_take_what_it_signed_alone()?;
    test.everything_goes_again()?;
    for (before, after) in empty.iter().zip(test.trees()?) {
        let difference = before.difference(&after);
        ensure!(difference.is_empty(), "{difference}");
    }
    Ok(())
}

/// The model of the measured package, in bytes.
const MEASURED: usize = 256 << 20;

/// Times and counts the ways to bring a package to hosts. Nothing is asserted of how long it takes.
#[test]
#[ignore = "measures for some minutes: make measure-fleet"]
fn ways_to_bring_a_package_are_measured() -> Result<()> {
    let media = Media::empty()?;
    let manifest = "[package]\nname = \"big\"\nversion = \"1\"\n[install]\nprefix = \"/opt/big\"\n\
                    [[components]]\ntype = \"model-file\"\nname = \"weights\"\n\
                    install_path = \"models/weights.gguf\"\nsource = { type = \"file\", path = \"weights.gguf\" }\n";
    media.pack("big", "big", "weights.gguf", &gguf::noise("weights", MEASURED), manifest, None)?;
    let size = fs::metadata(media.path().join("big/big.run"))?.len();
    let fleet = Fleet::boot(&HOSTS, media.path())?;
    let test = Test { fleet, media };
    let directory = test.media.path().display().to_string();
    let serve = ["python3", "-m", "http.server", "--bind", CONTROLLER, "--directory", &directory, "8000"];
    let mut mirror = test.fleet.beside(&serve)?.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let url = format!("big_mirror=http://{CONTROLLER}:8000/big");
    let ways: [(&str, &[&str]); 4] = [
        ("big", &[]),
        ("big-mirror", &["-e", &url]),
        ("big-share", &["-e", "big_share=/media/usb/big/big.run"]),
        ("big-stick", &[]),
    ];
    println!("a package of {size} bytes; seconds until the last host is done, and MB that each host was sent");
    let play = |hosts: &str, way: &str, options: &[&str]| -> Result<()> {
        let (before, start) = (test.sent()?, Instant::now());
        let options = [options, &["--limit", hosts]].concat();
        let play = test.play(&format!("big/ansible/{way}.yml"), &options)?.succeeded()?;
        let (count, seconds) = (hosts.split(',').count(), start.elapsed().as_secs_f64());
        let each = (test.sent()? - before) / count as u64 / 1_000_000;
        println!("{way:14} {count} hosts: {seconds:6.1} s, {each:5} MB; {}", play.of("empty")?.changed);
        Ok(())
    };
    let measured = ways.iter().try_for_each(|(way, options)| {
        for hosts in ["empty", "empty,full,current"] {
            play(hosts, way, options)?;
            play(hosts, way, options)?;
            play(hosts, "big-uninstall", &[])?;
        }
        Ok(())
    });
    let _ = mirror.kill();
    mirror.wait()?;
    measured
}

struct Test {
    fleet: Fleet,
    media: Media,
}

impl Test {
    fn play(&self, name: &str, options: &[&str]) -> Result<Play> {
        self.fleet.play(&self.media.path().join(name), options)
    }

    fn report(&self, name: &str) -> Result<serde_json::Value> {
        Ok(serde_json::from_str(&fs::read_to_string(self.media.path().join(name))?)?)
    }

    /// Bytes that all machines were sent so far.
    fn sent(&self) -> Result<u64> {
        let links = succeed(&mut self.fleet.beside(&["ip", "-s", "-j", "link"])?, SOON)?.stdout;
        let links: serde_json::Value = serde_json::from_str(&links)?;
        let cables = links
            .as_array()
            .context("no links")?
            .iter()
            .filter(|link| link["ifname"].as_str().is_some_and(|name| name.starts_with("cable")));
        Ok(cables.filter_map(|link| link["stats64"]["tx"]["bytes"].as_u64()).sum())
    }

    fn trees(&self) -> Result<Vec<Tree>> {
        let directories = ["etc", "opt", "srv", "var/lib/airgap-deploy"];
        HOSTS.iter().map(|host| Tree::read_some(&self.fleet.machine(host)?.path("/"), &directories)).collect()
    }

    fn answers(&self, host: &str, url: &str, expected: &str) -> Result<()> {
        let machine = self.fleet.machine(host)?;
        let answered = wait_until(SOON, || Ok(machine.run(&["curl", "-s", url])?.stdout.contains(expected)))?;
        ensure!(answered, "{url} on {host} does not say {expected}");
        Ok(())
    }

    fn check_mode_changes_nothing(&self) -> Result<()> {
        let before = self.trees()?;
        let play = self.play("one/ansible/demo.yml", &["--check", "--diff"])?;
        ensure!(play.of("empty")?.changed == 1 && play.of("empty")?.failed == 0, "{}", play.said.describe());
        ensure!(play.of("full")?.failed == 1 && play.of("current")? == UNCHANGED, "{}", play.said.describe());
        for line in ["+place /opt/demo/bin/httpd", "+start demo.service", "Out of disk space: /opt"] {
            ensure!(play.said.stdout.contains(line), "it does not say {line}: {}", play.said.describe());
        }
        ensure!(self.trees()? == before, "check mode changed something");
        self.nothing_of_a_play_is_left()
    }

    fn nothing_of_a_play_is_left(&self) -> Result<()> {
        for host in HOSTS {
            let names = self.fleet.machine(host)?.must(&["ls", "-A", "/var/lib", "/var/cache/", "/tmp"])?.stdout;
            ensure!(!names.contains(".airgap-deploy") && !names.contains("ansible."), "{host}: {names}");
        }
        Ok(())
    }

    fn the_play_ends_right_for_each(&self) -> Result<()> {
        let before = self.trees()?;
        let play = self.play("one/ansible/demo.yml", &[])?;
        ensure!(play.said.code == 2 && play.of("empty")?.changed > 0, "{}", play.said.describe());
        ensure!(play.of("empty")?.failed == 0 && play.of("current")? == UNCHANGED, "{}", play.said.describe());
        // Named in the recap, and as it was: nothing was even transferred to it.
        ensure!(play.of("full")? == Recap { changed: 0, failed: 1 }, "{}", play.said.describe());
        let after = self.trees()?;
        ensure!(before[1] == after[1] && before[2] == after[2], "a host was changed that should not");
        self.answers("empty", httpd::URL, "one")?;
        let report = self.report("one/ansible/reports/demo-full.json")?;
        ensure!(report["exit_code"] == 22 && report["failed"] == true && report["host"] == "full", "{report}");
        let again = self.play("one/ansible/demo.yml", &["--limit", "empty,current"])?.succeeded()?;
        ensure!(again.of("empty")? == UNCHANGED && again.of("current")? == UNCHANGED, "{}", again.said.describe());
        self.nothing_of_a_play_is_left()
    }

    fn a_service_arrives_from_a_stick_alone_and_beside_another(&self) -> Result<()> {
        let name = "node/ansible/node-exporter-stick.yml";
        let planned = self.play(name, &["--check", "--diff"])?.succeeded()?;
        let installed = self.play(name, &[])?.succeeded()?;
        let again = self.play(name, &[])?.succeeded()?;
        for host in HOSTS {
            ensure!(planned.of(host)?.changed == 1 && installed.of(host)?.changed > 0, "{}", installed.said.describe());
            ensure!(again.of(host)? == UNCHANGED, "{}", again.said.describe());
            self.answers(host, "http://127.0.0.1:9100/metrics", "node_exporter_build_info")?;
        }
        let upgraded = self.play("node-2/ansible/node-exporter-stick.yml", &["--limit", "full"])?.succeeded()?;
        ensure!(upgraded.of("full")?.changed > 0, "{}", upgraded.said.describe());
        self.answers("full", "http://127.0.0.1:9101/metrics", "node_exporter_build_info")
    }

    fn two_services_arrive_from_a_mirror_and_start_in_order(&self) -> Result<()> {
        let directory = self.media.path().display().to_string();
        let serve = ["python3", "-m", "http.server", "--bind", CONTROLLER, "--directory", &directory, "8000"];
        let mut mirror = self.fleet.beside(&serve)?;
        let mut mirror = mirror.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let play = |version: &str, more: &[&str]| {
            let url = format!("metrics_mirror=http://{CONTROLLER}:8000/{version}");
            let options = [&["--limit", "empty,full", "-e", &url], more].concat();
            self.play(&format!("{version}/ansible/metrics-mirror.yml"), &options)
        };
        let plays = [
            play("metrics", &["--check", "--diff"]),
            play("metrics", &[]),
            play("metrics-2", &[]),
            play("metrics-2", &[]),
        ];
        let _ = mirror.kill();
        mirror.wait()?;
        let [planned, installed, upgraded, again] = plays;
        let (planned, installed) = (planned?.succeeded()?, installed?.succeeded()?);
        ensure!(planned.said.stdout.contains("+start metrics-often.service"), "{}", planned.said.describe());
        let (upgraded, again) = (upgraded?.succeeded()?, again?.succeeded()?);
        for host in ["empty", "full"] {
            ensure!(planned.of(host)?.changed == 1 && upgraded.of(host)?.changed > 0, "{}", upgraded.said.describe());
            ensure!(again.of(host)? == UNCHANGED, "{}", again.said.describe());
        }
        for host in ["empty", "full"] {
            ensure!(installed.of(host)?.changed > 0, "{}", installed.said.describe());
            self.answers(host, "http://127.0.0.1:9111/metrics", "node_processes_threads")?;
            let since = |unit: &str| -> Result<u64> {
                let show = ["systemctl", "show", "--value", "--property=ActiveEnterTimestampMonotonic", unit];
                Ok(self.fleet.machine(host)?.must(&show)?.stdout.trim().parse()?)
            };
            ensure!(since("metrics-often.service")? < since("metrics-seldom.service")?, "not in order on {host}");
        }
        Ok(())
    }

    /// One of the first two hosts lets nobody become root: the third one is left alone.
    fn a_roll_stops_when_too_many_fail(&self) -> Result<()> {
        let sudoers = self.fleet.machine("current")?.path("/etc/sudoers.d/deploy");
        let before = fs::read(&sudoers)?;
        fs::write(&sudoers, "")?;
        let options = ["--check", "-e", "demo_share=/media/usb/two/demo.run", "-e", "demo_serial=2"];
        let options = [&options[..], &["-e", "demo_max_fail_percentage=0"]].concat();
        let plays = ["demo-share", "demo-status", "demo-uninstall"]
            .map(|name| self.play(&format!("two/ansible/{name}.yml"), &options));
        fs::write(&sudoers, before)?;
        for play in plays {
            let play = play?;
            ensure!(play.of("current")? == Recap { changed: 0, failed: 1 }, "{}", play.said.describe());
            ensure!(play.said.stdout.contains("sudo") && play.of("full").is_err(), "{}", play.said.describe());
        }
        Ok(())
    }

    fn an_upgrade_rolls_over_the_hosts_from_a_share(&self) -> Result<()> {
        let options =
            ["-e", "demo_share=/media/usb/two/demo.run", "-e", "demo_serial=1", "-e", "demo_max_fail_percentage=5"];
        let play = self.play("two/ansible/demo-share.yml", &options)?.succeeded()?;
        for host in HOSTS {
            ensure!(play.of(host)?.changed > 0, "{}", play.said.describe());
            self.answers(host, httpd::URL, "two")?;
        }
        self.play("two/ansible/demo-status.yml", &[])?.succeeded()?;
        let report = self.report("two/ansible/reports/demo-full.json")?;
        ensure!(report["exit_code"] == 0 && report["documents"][0]["status"] == 1, "{report}");
        // Another package than the role was made for is refused, whatever it is called.
        let other = ["-e", "demo_share=/media/usb/two/demo.run", "--limit", "empty"];
        let play = self.play("one/ansible/demo-share.yml", &other)?;
        ensure!(play.of("empty")?.failed == 1, "{}", play.said.describe());
        self.answers("empty", httpd::URL, "two")
    }

    fn hosts_that_trust_a_key_take_what_it_signed_alone(&self) -> Result<()> {
        let keys = serde_json::json!({"demo_trusted_keys": [self.media.path().join("site.pub")]}).to_string();
        let installed = self.play("update/ansible/demo.yml", &["-e", &keys])?.succeeded()?;
        let again = self.play("update/ansible/demo.yml", &["-e", &keys])?.succeeded()?;
        for host in HOSTS {
            ensure!(installed.of(host)?.changed > 0 && again.of(host)? == UNCHANGED, "{}", again.said.describe());
            self.answers(host, httpd::URL, "update")?;
        }
        // Now nobody but the owner of the key can bring something.
        let unsigned = self.play("node/ansible/node-exporter.yml", &["--limit", "current"])?;
        ensure!(unsigned.of("current")? == Recap { changed: 0, failed: 1 }, "{}", unsigned.said.describe());
        ensure!(unsigned.said.stdout.contains("not signed"), "{}", unsigned.said.describe());
        for host in HOSTS {
            self.fleet.machine(host)?.must(&["rm", "-r", "/etc/airgap-deploy"])?;
        }
        Ok(())
    }

    fn everything_goes_again(&self) -> Result<()> {
        for (name, hosts) in [
            ("update/ansible/demo-uninstall.yml", &HOSTS[..]),
            ("metrics-2/ansible/metrics-uninstall.yml", &HOSTS[..2]),
            ("node/ansible/node-exporter-uninstall.yml", &HOSTS[..]),
        ] {
            let play = self.play(name, &[])?.succeeded()?;
            for host in hosts {
                ensure!(play.of(host)?.changed > 0, "{}", play.said.describe());
            }
        }
        let again = self.play("update/ansible/demo-uninstall.yml", &[])?.succeeded()?;
        for host in HOSTS {
            ensure!(again.of(host)? == UNCHANGED, "{}", again.said.describe());
        }
        Ok(())
    }
}

/// What every host sees at `/media/usb`: packages, each with what Ansible needs beside it.
struct Media {
    directory: TempDir,
}

impl Media {
    fn empty() -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("airgap-deploy-media-").tempdir_in("/var/tmp")?;
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755))?;
        Ok(Self { directory })
    }

    fn build() -> Result<Self> {
        let media = Self::empty()?;
        let key = media.path().join("site.key");
        succeed(argv(&[&builder()?.to_string_lossy(), "keygen", "--no-password", "--quiet"])?.arg(&key), SOON)?;
        for (extra, name) in ["one", "two", "update"].into_iter().enumerate() {
            let program = fs::read("/bin/busybox")?;
            // Bytes behind its end make another program of it that does the same.
            let program = [program.as_slice(), &vec![0; extra]].concat();
            let signed = (name == "update").then_some(key.as_path());
            media.pack(name, "demo", "httpd", &program, &httpd::service(name, name), signed)?;
        }
        let archive = fs::read(exporter::release()?)?;
        let manifest = |name: &str| -> Result<String> {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../manifests").join(name);
            exporter::from_file(&fs::read_to_string(path)?)
        };
        let node = manifest("AirGapDeploy.node-exporter.toml")?;
        media.pack("node", "node-exporter", exporter::ARCHIVE, &archive, &node, None)?;
        let newer = node.replace("version = \"1.12.1\"", "version = \"1.12.2\"").replace(":9100", ":9101");
        media.pack("node-2", "node-exporter", exporter::ARCHIVE, &archive, &newer, None)?;
        let metrics = manifest("AirGapDeploy.metrics.toml")?;
        media.pack("metrics", "metrics", exporter::ARCHIVE, &archive, &metrics, None)?;
        let newer = metrics.replace("version = \"1.12.1\"", "version = \"1.12.2\"").replace(":9110", ":9112");
        ensure!(newer != metrics, "the manifest has another version");
        media.pack("metrics-2", "metrics", exporter::ARCHIVE, &archive, &newer, None)?;
        Ok(media)
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn pack(
        &self,
        directory: &str,
        package: &str,
        source: &str,
        bytes: &[u8],
        manifest: &str,
        key: Option<&Path>,
    ) -> Result<()> {
        let work = tempfile::tempdir()?;
        fs::write(work.path().join(source), bytes)?;
        fs::write(work.path().join("AirGapDeploy.toml"), manifest)?;
        let output = self.path().join(directory);
        fs::create_dir(&output)?;
        let mut command = argv(&[&builder()?.to_string_lossy(), "--format", "ansible", "--update-lock", "--quiet"])?;
        command.arg("--output").arg(output.join(format!("{package}.run"))).current_dir(work.path());
        succeed(command.args(key.iter().flat_map(|key| [Path::new("--sign-key"), key])), BUILT_WITHIN)?;
        Ok(())
    }
}

fn builder() -> Result<PathBuf> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().context("no target directory")?;
    Ok(std::env::var_os("AIRGAP_DEPLOY_BUILDER").map_or_else(|| target.join("release/builder"), PathBuf::from))
}
