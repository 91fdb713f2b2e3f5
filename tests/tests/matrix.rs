//! Three releases of Debian with their systemd, and one without: a service is installed, upgraded while it runs, rolled
//! back, killed, broken and uninstalled. Needs root and Debian: `make acceptance`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use e2e::base::Suite;
use e2e::command::{Captured, wait_until};
use e2e::httpd::{Stick, URL};
use e2e::machine::{BindRo, Machine};
use e2e::tree::Tree;

const UNIT: &str = "demo.service";
const COPY: &str = "/var/lib/airgap-deploy/demo/airgap-deploy";
const ANSWERS_WITHIN: Duration = Duration::from_secs(30);

#[test]
#[ignore = "needs root and systemd-nspawn; run by `make acceptance`"]
fn bullseye() -> Result<()> {
    let host = Host::boot(Suite::Bullseye)?;
    let refused = host.installer("dynamic", &["--install"])?;
    ensure!(refused.code == 21 && refused.both().contains("glibc"), "{}", refused.describe());
    host.life_of_a_service()
}

#[test]
#[ignore = "needs root and systemd-nspawn; run by `make acceptance`"]
fn bookworm() -> Result<()> {
    let mut host = Host::boot(Suite::Bookworm)?;
    host.life_of_a_service()?;
    host.refuses_accounts_of_people()?;
    host.leaves_an_account_that_was_there()?;
    host.works_from_odd_places()?;
    host.killed_while_the_service_runs()?;
    host.killed_while_it_is_uninstalled()?;
    host.killed_before_the_service_is_started()?;
    host.reset_in_the_middle_of_an_upgrade()
}

#[test]
#[ignore = "needs root and systemd-nspawn; run by `make acceptance`"]
fn bookworm_among_others() -> Result<()> {
    let host = Host::boot(Suite::Bookworm)?;
    host.goes_back_though_the_service_cannot_start()?;
    host.starts_the_other_service_though_one_fails()?;
    host.among_others()
}

#[test]
#[ignore = "needs root and systemd-nspawn; run by `make acceptance`"]
fn trixie() -> Result<()> {
    let host = Host::boot(Suite::Trixie)?;
    host.life_of_a_service()?;
    host.labels_what_it_makes()
}

#[test]
#[ignore = "needs root and systemd-nspawn; run by `make acceptance`"]
fn without_systemd() -> Result<()> {
    let host = Host::boot(Suite::Sysvinit)?;
    let before = host.tree()?;
    let plan = host.installer("one", &["--dry-run"])?;
    ensure!(plan.ok() && plan.both().contains("systemd is not running here"), "{}", plan.describe());
    let installed = host.installer("one", &["--install", "--enable", "--start"])?;
    ensure!(
        installed.ok() && installed.both().contains("--start is ignored: it needs a running systemd"),
        "{}",
        installed.describe()
    );
    ensure!(
        installed.both().contains("--enable is ignored: this machine has no systemctl"),
        "{}",
        installed.describe()
    );
    host.machine.must(&["getent", "passwd", "demo"])?;
    let again = host.installer("one", &["--install"])?;
    ensure!(again.ok() && again.both().contains("nothing was changed"), "{}", again.describe());
    let upgraded = host.installer("two", &["--install"])?;
    ensure!(upgraded.ok(), "{}", upgraded.describe());
    let status = host.machine.run(&[COPY, "--status"])?;
    ensure!(status.ok() && status.stdout.contains("demo two is installed"), "{}", status.describe());
    // Whatever starts services here can start this one.
    let by_hand = "runuser -u demo -- /opt/demo/bin/httpd -p 127.0.0.1:8080 -h /opt/demo/www";
    host.machine.must(&["sh", "-c", by_hand])?;
    host.answers("two\n")?;
    host.machine.must(&["pkill", "-u", "demo"])?;
    host.machine.must(&[COPY, "--uninstall"])?;
    host.is_as(&before)
}

/// A machine with the packages at hand.
struct Host {
    machine: Machine,
    _stick: Stick,
}

impl Host {
    fn boot(suite: Suite) -> Result<Self> {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().context("no target directory")?;
        let builder = std::env::var_os("AIRGAP_DEPLOY_BUILDER");
        let stick = Stick::build(&builder.map_or_else(|| target.join("release/builder"), PathBuf::from))?;
        let machine = Machine::boot(suite, &[BindRo::new(&stick.path(), "/media/usb")])?;
        Ok(Self { machine, _stick: stick })
    }

    fn life_of_a_service(&self) -> Result<()> {
        self.machine.run(&["systemd-run", "--unit=broken-before", "false"])?;
        let degraded = || Ok(self.show("", "SystemState")? == "degraded");
        ensure!(wait_until(ANSWERS_WITHIN, degraded)?, "the machine does not count as degraded");
        // Anybody may hold locks on what anybody may read.
        let hold = ["systemd-run", "--uid=nobody", "--unit=holder", "flock", "/", "sleep", "infinity"];
        self.machine.must(&hold)?;
        let before = self.tree()?;

        self.installs()?;
        self.changes_nothing_twice()?;
        self.upgrades()?;
        self.rolls_back()?;
        self.does_not_start()?;
        self.leaves_alone_what_cannot_be_stopped()?;
        self.keeps_what_others_made()?;
        self.tells_what_was_done()?;
        self.is_as(&before)?;
        self.purges()?;
        self.is_as(&before)?;
        let failed = self.machine.must(&["systemctl", "--failed", "--plain", "--no-legend"])?.stdout;
        ensure!(failed.lines().count() == 1 && failed.contains("broken-before"), "failed units: {failed}");
        Ok(())
    }

    fn installs(&self) -> Result<()> {
        let installed = self.installer("one", &["--install", "--enable", "--start"])?;
        ensure!(installed.ok(), "{}", installed.describe());
        self.answers("one\n")?;
        for unit in [UNIT, "demo-old.service"] {
            ensure!(self.show(unit, "ActiveState")? == "active", "{unit} is not active");
            ensure!(self.show(unit, "UnitFileState")? == "enabled", "{unit} is not enabled");
        }
        let status = self.machine.run(&[COPY, "--status"])?;
        ensure!(status.ok() && status.stdout.contains("active (running), enabled"), "{}", status.describe());
        ensure!(status.stdout.contains("all of them on loopback"), "{}", status.describe());
        let status = self.machine.must(&[COPY, "--status", "--json"])?;
        let status: serde_json::Value = serde_json::from_str(&status.stdout)?;
        ensure!(status["units"][0]["loopback_sockets"] == 1, "{status}");
        ensure!(status["units"][0]["other_sockets"] == serde_json::json!([]), "{status}");
        Ok(())
    }

    fn changes_nothing_twice(&self) -> Result<()> {
        let facts = || Ok::<_, anyhow::Error>((self.tree()?, self.run_of(UNIT)?, self.show("", "UnitsLoadTimestamp")?));
        let before = facts()?;
        let again = self.installer("one", &["--install", "--enable", "--start"])?;
        ensure!(again.ok() && again.both().contains("nothing was changed"), "{}", again.describe());
        ensure!(facts()? == before, "the second installation changed something, or reloaded systemd");
        Ok(())
    }

    fn upgrades(&self) -> Result<()> {
        let before = self.run_of(UNIT)?;
        let plan = self.installer("two", &["--dry-run"])?.both();
        for line in ["stop demo.service", "stop demo-old.service", "disable demo-old.service", "start demo.service"] {
            ensure!(plan.contains(line), "the plan does not say: {line}\n{plan}");
        }
        let upgraded = self.installer("two", &["--install"])?;
        ensure!(upgraded.ok(), "{}", upgraded.describe());
        self.answers("two\n")?;
        ensure!(self.run_of(UNIT)? != before, "the service was not started again");
        ensure!(self.show(UNIT, "UnitFileState")? == "enabled", "the service is no longer enabled");
        ensure!(self.show("demo-old.service", "ActiveState")? == "inactive", "a service without a unit file runs");
        ensure!(self.show("demo-old.service", "LoadState")? == "not-found", "systemd was not reloaded");
        Ok(())
    }

    /// An error in the middle of the way back to the first version.
    fn rolls_back(&self) -> Result<()> {
        let before = self.tree()?;
        let old = self.run_of(UNIT)?;
        let mut rolled_back = 0;
        for change in (8..80).step_by(9) {
            let fail = format!("AIRGAP_DEPLOY_FAIL_AT={change}:5");
            let failed = self.machine.run(&["env", &fail, "/media/usb/stub", "--payload", &run("one"), "--install"])?;
            ensure!(failed.code == 30 && failed.both().contains("as it was before"), "{change}: {}", failed.describe());
            self.is_as(&before).with_context(|| format!("after an error at change {change}"))?;
            self.answers("two\n")?;
            rolled_back += u32::from(self.run_of(UNIT)? != old);
        }
        ensure!(rolled_back > 0, "the service was never stopped and started again");
        Ok(())
    }

    fn does_not_start(&self) -> Result<()> {
        let before = (self.tree()?, self.show(UNIT, "UnitFileState")?);
        let back = self.installer("broken", &["--install", "--rollback"])?;
        ensure!(back.code == 33 && back.both().contains("the machine is as it was before"), "{}", back.describe());
        self.is_as(&before.0)?;
        ensure!(self.show(UNIT, "UnitFileState")? == before.1, "the service is enabled otherwise than before");
        self.answers("two\n")?;
        let failed = self.installer("broken", &["--install"])?;
        ensure!(failed.code == 33 && failed.both().contains("Service failed to start"), "{}", failed.describe());
        // What its own program says of it, out of its journal.
        ensure!(failed.both().contains("/nonexistent"), "{}", failed.describe());
        // systemd gives up after a few attempts, between which the service is active for a moment.
        let given_up = || Ok(self.show(UNIT, "ActiveState")? == "failed");
        ensure!(wait_until(ANSWERS_WITHIN, given_up)?, "systemd does not give up");
        let status = self.machine.run(&[COPY, "--status"])?;
        ensure!(status.code == 23 && status.both().contains("journalctl -u demo"), "{}", status.describe());
        let mended = self.installer("two", &["--install", "--start"])?;
        ensure!(mended.ok(), "{}", mended.describe());
        self.answers("two\n")
    }

    fn leaves_alone_what_cannot_be_stopped(&self) -> Result<()> {
        let refuse = "mkdir -p /run/systemd/system/demo.service.d && cd /run/systemd/system/demo.service.d \
            && printf '[Unit]\\nRefuseManualStop=yes\\n' > no-stop.conf && systemctl daemon-reload";
        self.machine.must(&["sh", "-c", refuse])?;
        let before = (self.tree()?, self.run_of(UNIT)?);
        let upgrade = self.installer("one", &["--install"])?;
        ensure!(upgrade.code == 30 && upgrade.both().contains("as it was before"), "{}", upgrade.describe());
        let uninstall = self.machine.run(&[COPY, "--uninstall"])?;
        ensure!(uninstall.code == 32 && uninstall.both().contains("nothing was removed"), "{}", uninstall.describe());
        ensure!((self.tree()?, self.run_of(UNIT)?) == before, "something changed under a running service");
        self.machine.must(&["sh", "-c", "rm -r /run/systemd/system/demo.service.d && systemctl daemon-reload"])?;
        Ok(())
    }

    fn keeps_what_others_made(&self) -> Result<()> {
        self.machine.must(&["sh", "-c", "echo mine > /opt/demo/www/mine.html"])?;
        let left = self.machine.run(&[COPY, "--uninstall"])?;
        ensure!(
            left.code == 32 && left.both().contains("/opt/demo/www/ is not empty: mine.html"),
            "{}",
            left.describe()
        );
        ensure!(self.show(UNIT, "ActiveState")? == "inactive", "the service still runs");
        ensure!(self.show(UNIT, "LoadState")? == "not-found", "systemd was not reloaded");
        let status = self.machine.run(&[COPY, "--status"])?;
        ensure!(status.code == 41 && status.both().contains("something of it is left"), "{}", status.describe());
        self.machine.must(&["rm", "/opt/demo/www/mine.html"])?;
        self.machine.must(&[COPY, "--uninstall"])?;
        Ok(())
    }

    /// In systemd's journal and in the log of the package, with who did it.
    fn tells_what_was_done(&self) -> Result<()> {
        let journal = self.machine.must(&["journalctl", "--output=json", "AIRGAP_DEPLOY_PACKAGE=demo"])?.stdout;
        let entries: Vec<serde_json::Value> = journal.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
        let ended = |action: &str, code: &str| {
            entries.iter().any(|entry| {
                entry["AIRGAP_DEPLOY_ACTION"] == action
                    && entry["AIRGAP_DEPLOY_EXIT_CODE"] == code
                    && entry["_UID"] == "0"
            })
        };
        ensure!(ended("install", "0") && ended("uninstall", "32") && ended("uninstall", "0"), "{journal}");
        let steps = entries.iter().filter(|entry| entry["AIRGAP_DEPLOY_OUTCOME"] == "done").count();
        ensure!(steps > 20, "hardly a step is in the journal: {steps}");
        self.machine.must(&["grep", "-q", "step start demo.service: done", "/var/log/airgap-deploy/demo.log"])?;
        let history = self.machine.must(&["/media/usb/one.run", "--history", "demo"])?;
        ensure!(history.stdout.contains("exit code 32"), "{}", history.describe());
        Ok(())
    }

    /// By hand, as the administrator would: also one that shares its number with root. userdel may take the group along.
    fn remove_account(&self) -> Result<()> {
        self.machine.must(&["userdel", "--force", "demo"])?;
        self.machine.run(&["groupdel", "demo"])?;
        Ok(())
    }

    fn purges(&self) -> Result<()> {
        ensure!(self.installer("one", &["--install", "--enable", "--start"])?.ok());
        let mess = "cd /opt/demo/www && echo edited > index.html && mkdir -p more/deep && echo x > more/deep/file \
            && touch \"$(printf 'two\\nlines')\" \"$(printf 'no-\\377-text')\" && ln -s /etc/passwd link \
            && echo '# edited' >> /etc/systemd/system/demo.service";
        self.machine.must(&["sh", "-c", mess])?;
        // Files of somebody else, mounted where the package has a directory.
        self.machine.must(&["sh", "-c", "mkdir -p /srv/own /opt/demo/mnt && echo own > /srv/own/file"])?;
        self.machine.must(&["mount", "--bind", "/srv/own", "/opt/demo/mnt"])?;
        let left = self.machine.run(&[COPY, "--uninstall", "--purge"])?;
        ensure!(left.code == 32 && left.both().contains("/opt/demo/ is not empty: mnt"), "{}", left.describe());
        ensure!(self.machine.must(&["cat", "/srv/own/file"])?.stdout == "own\n", "files of others went");
        self.machine.must(&["umount", "/opt/demo/mnt"])?;
        self.machine.must(&["rm", "-r", "/srv/own"])?;
        self.machine.must(&[COPY, "--uninstall", "--purge"])?;
        Ok(())
    }

    fn refuses_accounts_of_people(&self) -> Result<()> {
        for (options, words) in [
            (["--shell", "/bin/bash", "--uid", "1500"].as_slice(), "login account"),
            (["--non-unique", "--uid", "0", "--shell", "/usr/sbin/nologin"].as_slice(), "uid 0"),
        ] {
            let before = self.tree()?;
            let add: Vec<&str> = ["useradd", "--user-group"].iter().chain(options).chain(&["demo"]).copied().collect();
            self.machine.must(&add)?;
            let with_account = self.tree()?;
            let refused = self.installer("one", &["--install"])?;
            ensure!(refused.code == 23 && refused.both().contains(words), "{}", refused.describe());
            self.is_as(&with_account)?;
            self.remove_account()?;
            self.is_as(&before)?;
        }
        Ok(())
    }

    fn leaves_an_account_that_was_there(&self) -> Result<()> {
        let bare = self.tree()?;
        let account = ["--system", "--user-group", "--home-dir", "/srv", "--comment", "of somebody else", "demo"];
        self.machine.must(&[&["useradd"], account.as_slice()].concat())?;
        self.machine.must(&["mkdir", "--mode=700", "/opt/demo"])?;
        let before = self.tree()?;
        ensure!(self.installer("one", &["--install"])?.ok());
        ensure!(self.installer("two", &["--install"])?.ok());
        self.machine.must(&[COPY, "--uninstall"])?;
        self.is_as(&before)?;
        self.machine.must(&["rmdir", "/opt/demo"])?;
        self.remove_account()?;
        self.is_as(&bare)
    }

    /// `/etc` and `/usr` that cannot be written to, and a medium that programs cannot be started from.
    fn works_from_odd_places(&self) -> Result<()> {
        let before = self.tree()?;
        let mount = |words: &[&str]| self.machine.must(&[&["mount"], words].concat());
        mount(&["--bind", "/etc", "/etc"])?;
        mount(&["-o", "remount,bind,ro", "/etc"])?;
        let refused = self.installer("one", &["--install"])?;
        ensure!(refused.code == 21 && refused.both().contains("read-only"), "{}", refused.describe());
        self.machine.must(&["umount", "--lazy", "/etc"])?;
        self.is_as(&before)?;

        mount(&["--bind", "/usr", "/usr"])?;
        mount(&["-o", "remount,bind,ro", "/usr"])?;
        let installed = self.installer("one", &["--install"])?;
        ensure!(installed.ok(), "{}", installed.describe());
        mount(&["-o", "remount,bind,ro,noexec", "/media/usb"])?;
        ensure!(self.machine.run(&["/media/usb/two.run", "--version"])?.code != 0, "programs start from the medium");
        let upgraded = self.machine.run(&[COPY, "--payload", "/media/usb/two.run", "--install"])?;
        ensure!(upgraded.ok() && upgraded.both().contains("demo two is installed"), "{}", upgraded.describe());
        mount(&["-o", "remount,bind,ro,exec", "/media/usb"])?;
        self.machine.must(&["umount", "--lazy", "/usr"])?;
        self.machine.must(&[COPY, "--uninstall"])?;
        self.is_as(&before)
    }

    /// No kernel here has `SELinux`, so a program in the place of restorecon writes down what it is asked for. It also
    /// tries to reach a network, as a program that the installer starts.
    fn labels_what_it_makes(&self) -> Result<()> {
        let before = self.tree()?;
        let recorder = "#!/usr/bin/perl\nuse Socket; open(my $log, '>>', '/run/labels') or exit 1; print $log \"@ARGV\\n\";\n\
            socket(my $out, PF_INET, SOCK_STREAM, 0) or print $log \"socket: $!\\n\"; exit(-e '/run/fail');\n";
        self.machine.must(&["sh", "-c", "printf %s \"$1\" > /usr/sbin/restorecon", "sh", recorder])?;
        self.machine.must(&["chmod", "755", "/usr/sbin/restorecon"])?;
        let plan = self.installer("one", &["--dry-run"])?.both();
        ensure!(plan.contains("restore the SELinux labels of"), "{plan}");
        let installed = self.installer("one", &["--install"])?;
        ensure!(installed.ok(), "{}", installed.describe());
        let labels = self.machine.must(&["cat", "/run/labels"])?.stdout;
        for path in ["-- /opt/demo", "/opt/demo/bin/httpd", "/etc/systemd/system/demo.service"] {
            ensure!(labels.contains(path), "{path} got no label: {labels}");
        }
        ensure!(labels.contains("socket: Permission denied"), "a child could open a socket: {labels}");

        let one = self.tree()?;
        self.machine.must(&["touch", "/run/fail"])?;
        let failed = self.installer("two", &["--install"])?;
        ensure!(failed.code == 30 && failed.both().contains("restorecon"), "{}", failed.describe());
        self.is_as(&one)?;
        self.machine.must(&["rm", "/run/fail", "/usr/sbin/restorecon"])?;
        self.machine.must(&[COPY, "--uninstall"])?;
        self.is_as(&before)
    }

    /// An upgrade under a running service is killed, and the recovery after it once more. The service then runs, in the
    /// version that its files are. At every sixth change, at all of them with `AIRGAP_DEPLOY_EVERY=1`.
    fn killed_while_the_service_runs(&self) -> Result<()> {
        ensure!(self.installer("one", &["--install", "--enable", "--start"])?.ok());
        let (mut trials, mut forward) = (0, 0);
        let every = std::env::var("AIRGAP_DEPLOY_EVERY").ok().and_then(|text| text.parse().ok()).unwrap_or(6);
        for change in (1..).step_by(every) {
            let before = self.tree()?;
            if !self.killed("two", change, "--install")? {
                break;
            }
            trials += 1;
            let status = self.machine.run(&["/media/usb/two.run", "--status"])?;
            ensure!(status.code == 0 || status.both().contains("--recover goes back"), "{}", status.describe());
            self.killed("two", 1 + change % 11, "--recover")?;
            let recovered = self.installer("two", &["--recover"])?;
            ensure!(recovered.ok(), "killed at {change}: {}", recovered.describe());
            if self.tree()? == before {
                self.answers("one\n").with_context(|| format!("killed at change {change}"))?;
                continue;
            }
            let status = self.machine.run(&[COPY, "--status"])?;
            let complete = status.ok() && status.stdout.contains("demo two is installed");
            ensure!(complete, "killed at change {change}: {}", status.describe());
            self.answers("two\n").with_context(|| format!("killed at change {change}"))?;
            forward += 1;
            ensure!(self.installer("one", &["--install", "--enable", "--start"])?.ok());
        }
        println!("an upgrade of a running service: {trials} kills, {forward} of them led forward");
        ensure!(trials > 20 && forward > 1, "hardly a trial was made: {trials}, {forward}");
        Ok(())
    }

    /// The files go back, the service that does not start is reported, and there is nothing left to recover: otherwise no
    /// installer would ever get past it.
    fn goes_back_though_the_service_cannot_start(&self) -> Result<()> {
        let drop_in = |text: &str| {
            format!(
                "mkdir -p /etc/systemd/system/demo.service.d && printf '[Service]\\n{text}\\n' \
                > /etc/systemd/system/demo.service.d/of-theirs.conf"
            )
        };
        let masked = "cp -a /etc/systemd/system/demo.service /run/kept && \
            ln -sf /dev/null /etc/systemd/system/demo.service";
        let unmasked = "mv -f /run/kept /etc/systemd/system/demo.service";
        let no_drop_in = "rm -r /etc/systemd/system/demo.service.d";
        for (broken, mended) in [
            (drop_in("ExecStartPre=/bin/false"), no_drop_in),
            (drop_in("Type=notify\\nTimeoutStartSec=2\\nRestart=no"), no_drop_in),
            (masked.to_owned(), unmasked),
        ] {
            ensure!(self.installer("one", &["--install", "--start"])?.ok());
            let before = self.tree()?;
            let mut change = 10;
            while self.show(UNIT, "ActiveState")? == "active" {
                ensure!(self.installer("one", &["--recover"])?.ok());
                change += 10;
                ensure!(self.killed("two", change, "--install")?, "the service was never stopped");
            }
            self.machine.must(&["sh", "-c", &broken])?;
            let back = self.installer("two", &["--recover"])?;
            ensure!(back.code == 33 && back.both().contains(UNIT), "{broken}: {}", back.describe());
            ensure!(back.both().contains("nothing is left to recover"), "{broken}: {}", back.describe());
            self.machine.must(&["sh", "-c", mended])?;
            self.is_as(&before).context(broken)?;
            let again = self.installer("two", &["--recover"])?;
            ensure!(again.ok() && again.both().contains("nothing to recover"), "{}", again.describe());
            self.machine.must(&["systemctl", "daemon-reload"])?;
            self.machine.must(&["systemctl", "start", UNIT])?;
            self.answers("one\n")?;
            self.machine.must(&[COPY, "--uninstall"])?;
        }
        Ok(())
    }

    /// Both are started, and each one that fails is reported.
    fn starts_the_other_service_though_one_fails(&self) -> Result<()> {
        let failed = self.installer("half", &["--install", "--start"])?;
        ensure!(failed.code == 33 && failed.both().contains(UNIT), "{}", failed.describe());
        ensure!(self.show("demo-old.service", "ActiveState")? == "active", "the other one was not started");
        let broken = "systemctl stop demo-old && mkdir -p /run/systemd/system/demo-old.service.d && \
            printf '[Service]\\nExecStartPre=/bin/false\\n' > /run/systemd/system/demo-old.service.d/broken.conf && \
            systemctl daemon-reload && systemctl stop demo";
        self.machine.must(&["sh", "-c", broken])?;
        let failed = self.installer("half", &["--install", "--start"])?;
        let both = failed.both().contains("start: demo.service: ") && failed.both().contains("\ndemo-old.service: ");
        ensure!(failed.code == 33 && both, "{}", failed.describe());
        self.machine.must(&["sh", "-c", "rm -r /run/systemd/system/demo-old.service.d && systemctl daemon-reload"])?;
        self.machine.must(&[COPY, "--uninstall"])?;
        Ok(())
    }

    /// A sample of the interference series with the real systemd and the real account tools: something is done to the unit
    /// or the account while an upgrade stands still, or after a crash; the way always ends, and theirs is still theirs.
    fn among_others(&self) -> Result<()> {
        let deeds = [
            ("systemctl stop demo", "true"),
            ("echo '# theirs' >> /etc/systemd/system/demo.service", "grep -rq '# theirs' /etc/systemd/system"),
            ("userdel --force demo; useradd --system --uid 4321 --gid root demo", "getent passwd demo | grep -q 4321"),
            ("systemctl disable demo", "true"),
            ("systemctl start demo", "true"),
            ("ln -sf /dev/null /etc/systemd/system/demo.service", "ls -lR /etc/systemd/system | grep -q /dev/null"),
        ];
        let (mut meanwhile, mut crashed) = (0, 0);
        for (number, (deed, is_kept)) in deeds.iter().enumerate() {
            ensure!(self.installer("one", &["--install", "--enable", "--start"])?.ok());
            let change = 20 + 14 * number;
            let ended = if number % 2 == 0 {
                meanwhile += 1;
                // Stopped before the change, and continued when it is done.
                let script = format!(
                    "AIRGAP_DEPLOY_STOP_AT={change} /media/usb/stub --payload {} --install & \
                     until grep -q '^State:.T' /proc/$!/status; do sleep 0.05; done; {{ {deed}; }} >&2; kill -CONT $!; wait $!",
                    run("two")
                );
                self.machine.run(&["sh", "-c", &script])?
            } else {
                crashed += 1;
                ensure!(self.killed("two", u32::try_from(change)?, "--install")?, "no kill at {change}");
                self.machine.run(&["sh", "-c", deed])?;
                self.installer("two", &["--recover"])?
            };
            let text = ended.describe();
            ensure!(matches!(ended.code, 0 | 23 | 30 | 33), "{deed}, change {change}: {text}");
            self.machine.must(&["sh", "-c", is_kept]).with_context(|| format!("{deed}, change {change}: {text}"))?;
            let again = self.installer("two", &["--recover"])?;
            ensure!(again.ok() && again.both().contains("nothing to recover"), "{deed}: {}", again.describe());
            let gone = self.machine.run(&[COPY, "--uninstall"])?;
            ensure!(matches!(gone.code, 0 | 32), "{deed}, change {change}: {}", gone.describe());
            self.machine.must(&["sh", "-c", is_kept]).with_context(|| format!("{deed}: {}", gone.describe()))?;
            let clean = "rm -rf /opt/demo /etc/systemd/system/demo* /etc/systemd/system/*.wants/demo*; systemctl daemon-reload; \
                systemctl reset-failed; userdel --force demo; groupdel demo; rm -rf /var/lib/airgap-deploy; true";
            self.machine.must(&["sh", "-c", clean])?;
        }
        println!("units and accounts of others: {meanwhile} trials meanwhile, {crashed} after a crash");
        Ok(())
    }

    /// What was killed half-way is done by the next uninstallation, whether systemd knows the unit still or not.
    fn killed_while_it_is_uninstalled(&self) -> Result<()> {
        self.machine.must(&["/media/usb/stub", "--payload", &run("one"), "--uninstall"])?;
        let before = self.tree()?;
        let mut trials = 0;
        for change in (1..).step_by(6) {
            ensure!(self.installer("one", &["--install", "--enable", "--start"])?.ok());
            let killed = self.killed("one", change, "--uninstall")?;
            self.machine.must(&["systemctl", "daemon-reload"])?;
            let again = self.installer("one", &["--uninstall"])?;
            // Killed when all was done but the last line, there is nothing left to do.
            let done = again.ok() || again.code == 41 && again.both().contains("is not installed");
            ensure!(done, "killed at {change}: {}", again.describe());
            self.is_as(&before).with_context(|| format!("killed at change {change}"))?;
            ensure!(self.show(UNIT, "ActiveState")? == "inactive", "killed at {change}: the service still runs");
            if !killed {
                break;
            }
            trials += 1;
        }
        println!("an uninstallation of a running service: {trials} kills");
        ensure!(trials > 5, "hardly a trial was made: {trials}");
        Ok(())
    }

    /// The kill comes at the last change that is made: the service was to be started, and then is.
    fn killed_before_the_service_is_started(&self) -> Result<()> {
        let mut forward = 0;
        for change in (1..).step_by(2) {
            let done = !self.killed("one", change, "--install --start")?;
            ensure!(self.installer("one", &["--recover"])?.ok());
            if self.machine.path("/opt/demo/bin/httpd").exists() {
                self.answers("one\n").with_context(|| format!("killed at change {change}"))?;
                forward += u32::from(!done);
                self.machine.must(&[COPY, "--uninstall"])?;
            }
            if done {
                break;
            }
        }
        ensure!(forward > 1, "no kill led forward");
        Ok(())
    }

    /// As a power cut: systemd then starts the service, from files of both versions.
    fn reset_in_the_middle_of_an_upgrade(&mut self) -> Result<()> {
        ensure!(self.installer("one", &["--install", "--enable", "--start"])?.ok());
        let before = self.tree()?;
        let changed = (30..100).step_by(5).find(|change| {
            let killed = self.killed("two", *change, "--install").unwrap_or(false);
            let page = self.machine.run(&["cat", "/opt/demo/www/index.html"]).is_ok_and(|page| page.stdout == "two\n");
            killed && page && self.tree().is_ok_and(|tree| tree != before)
        });
        ensure!(changed.is_some(), "no kill left files of both versions");
        self.machine.reboot()?;
        self.answers("two\n")?;
        let mixed = self.run_of(UNIT)?;
        let recovered = self.installer("two", &["--recover"])?;
        ensure!(recovered.ok(), "{}", recovered.describe());
        self.is_as(&before)?;
        self.answers("one\n")?;
        ensure!(self.run_of(UNIT)? != mixed, "the service still runs what was started from files of both versions");
        Ok(())
    }

    /// Whether it came to that.
    fn killed(&self, package: &str, change: u32, action: &str) -> Result<bool> {
        let kill = format!("AIRGAP_DEPLOY_KILL_AT={change}");
        let run = run(package);
        let mut command = vec!["env", &kill, "/media/usb/stub", "--payload", &run];
        command.extend(action.split(' '));
        let said = self.machine.run(&command)?;
        match said.code {
            0 => Ok(false),
            // A shell's way and systemd-run's way to say SIGKILL.
            137 | 255 => Ok(true),
            _ => bail!("{command:?}: {}", said.describe()),
        }
    }

    fn installer(&self, package: &str, arguments: &[&str]) -> Result<Captured> {
        let run = run(package);
        let command: Vec<&str> = std::iter::once(run.as_str()).chain(arguments.iter().copied()).collect();
        self.machine.run(&command)
    }

    fn show(&self, unit: &str, property: &str) -> Result<String> {
        let property = format!("--property={property}");
        let mut command = vec!["systemctl", "show", "--value", &property];
        command.extend((!unit.is_empty()).then_some(unit));
        Ok(self.machine.must(&command)?.stdout.trim().to_owned())
    }

    /// Names one start of a unit.
    fn run_of(&self, unit: &str) -> Result<String> {
        self.show(unit, "InvocationID")
    }

    fn answers(&self, page: &str) -> Result<()> {
        let answers = || {
            let said = self.machine.run(&["curl", "--silent", "--fail", URL])?;
            Ok(said.ok() && said.stdout == page)
        };
        ensure!(wait_until(ANSWERS_WITHIN, answers)?, "the service does not answer {page:?}");
        Ok(())
    }

    /// What packages touch.
    fn tree(&self) -> Result<Tree> {
        Tree::read_some(&self.machine.path("/"), &["etc", "opt", "srv", "var/lib/airgap-deploy"])
    }

    fn is_as(&self, before: &Tree) -> Result<()> {
        let difference = before.difference(&self.tree()?);
        ensure!(difference.is_empty(), "{difference}");
        Ok(())
    }
}

fn run(package: &str) -> String {
    format!("/media/usb/{package}.run")
}
