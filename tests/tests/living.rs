//! The life of a real Ollama on a machine without a network: it proves that it works, gets models while it answers, is
//! upgraded and taken back; and one that the official script installed. Needs root and Debian: `make acceptance`.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use e2e::base::Suite;
use e2e::command::Captured;
use e2e::machine::{BindRo, Machine};
use e2e::updates::Stick;

const API: &str = "http://127.0.0.1:11434";
const OFFICIAL: &str = "/usr/local/bin/ollama";
const STORE: &str = "/usr/share/ollama/.ollama/models";
/// `systemd-analyze security` of what is installed must stay below.
const EXPOSURE: f64 = 2.0;

#[test]
#[ignore = "needs root, Debian and minutes: run it with `make acceptance`"]
fn an_ollama_lives_on() -> Result<()> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().context("no target directory")?;
    let builder = std::env::var_os("AIRGAP_DEPLOY_BUILDER");
    let stick = Stick::build(&builder.map_or_else(|| target.join("release/builder"), PathBuf::from))?;
    let machine = Machine::boot(Suite::Bookworm, &[BindRo::new(&stick.path(), "/media/usb")])?;
    let host = Host { machine, program: "/opt/ollama/bin/ollama" };
    let done = host.ours();
    let done = done.and_then(|()| host.becomes_official()?.official());
    if done.is_err() {
        println!("{}", host.machine.run(&["journalctl", "--no-pager", "--unit=ollama", "--lines=60"])?.stdout);
    }
    done?;
    host.machine.power_off()
}

/// A machine, and where its Ollama is.
struct Host {
    machine: Machine,
    program: &'static str,
}

impl Host {
    fn ours(&self) -> Result<()> {
        self.names_what_keeps_it_from_starting()?;
        self.proves_itself()?;
        self.is_confined()?;
        self.knows_the_capital_of_france()?;
        // Somebody makes models of their own: the service can write its store, and take out of it again.
        self.ollama(&["cp", "smollm2", "mine"])?;
        self.machine.must(&["sh", "-c", "printf 'FROM smollm2\nSYSTEM Be brief.\n' > /root/Modelfile"])?;
        self.ollama(&["create", "not-for-long", "-f", "/root/Modelfile"])?;
        self.ollama(&["rm", "not-for-long"])?;
        ensure!(!self.ollama(&["list"])?.contains("not-for-long"), "a removed model is still there");
        self.gets_a_model_while_it_answers()?;
        self.goes_back_when_an_upgrade_fails()?;
        self.is_upgraded()?;
        self.gets_another_model_with_the_next_version()?;
        self.loses_a_model_that_the_next_version_drops()
    }

    /// The first attempt meets another server on the port; what else may be wrong is put into the unit's way by drop-ins.
    fn names_what_keeps_it_from_starting(&self) -> Result<()> {
        let listen = format!("--socket-property=ListenStream={}", API.trim_start_matches("http://"));
        self.machine.must(&["systemd-run", "--quiet", "--unit=other-server", &listen, "true"])?;
        self.does_not_start("the port is in use", "address already in use")?;
        self.machine.must(&["systemctl", "stop", "other-server.socket"])?;

        for (program, cause, said) in [
            ("foreign", "the program is for another architecture", "Exec format error"),
            ("lonely", "a library is missing", "libabsent.so.1"),
            ("modern", "the program needs a newer glibc", "version `GLIBC_2.99' not found"),
            ("readable", "a permission is missing", "Permission denied"),
        ] {
            let lines = format!("ExecStart=\nExecStart=/media/usb/{program} serve\n");
            self.with_drop_in(&lines, || self.does_not_start(cause, said)).context(program)?;
        }
        self.with_drop_in("LimitAS=120M\n", || {
            self.does_not_start("there is not enough memory", "status=2/INVALIDARGUMENT")
        })
    }

    fn does_not_start(&self, cause: &str, said: &str) -> Result<()> {
        let failed = self.run(&["/media/usb/first.run", "--install", "--start"])?;
        ensure!(failed.code == 33, "{cause}: {}", failed.describe());
        let cause = format!("likely cause: {cause}");
        let state = "the package is installed; the service does not run";
        for words in ["Service failed to start", "journalctl -u ollama", &cause, said, state] {
            ensure!(failed.both().contains(words), "{words}: {}", failed.describe());
        }
        // systemd would try again.
        self.machine.must(&["systemctl", "stop", "ollama"])?;
        Ok(())
    }

    fn with_drop_in(&self, lines: &str, act: impl FnOnce() -> Result<()>) -> Result<()> {
        let write = "mkdir -p $0 && printf '[Service]\n%s' \"$1\" > $0/90-test.conf && systemctl daemon-reload";
        let directory = "/run/systemd/system/ollama.service.d";
        self.machine.must(&["sh", "-c", write, directory, lines])?;
        act()?;
        self.machine.must(&["sh", "-c", "rm -r $0 && systemctl daemon-reload", directory])?;
        Ok(())
    }

    fn proves_itself(&self) -> Result<()> {
        let installed = self.run(&["/media/usb/first.run", "--install", "--start", "--json"])?;
        ensure!(installed.ok(), "{}", installed.describe());
        println!("{}", installed.stderr.lines().filter(|line| line.contains(" answers: ")).collect::<String>());
        let report: serde_json::Value =
            serde_json::from_str(installed.stdout.lines().last().context("nothing is said")?)?;
        let answer = &report["answers"][0];
        ensure!(answer["model"] == "smollm2:latest", "{report}");
        ensure!(
            answer["load_seconds"].as_f64() > Some(0.0) && answer["tokens_per_second"].as_f64() > Some(0.0),
            "{report}"
        );
        // What the question went through is gone.
        ensure!(self.run(&["test", "-e", "/run/airgap-deploy-ask.sock"])?.code == 1, "the socket is still there");
        let left =
            self.machine.must(&["systemctl", "list-units", "--all", "--plain", "--no-legend", "airgap-deploy*"])?;
        ensure!(left.stdout.is_empty(), "units are left: {}", left.stdout);
        Ok(())
    }

    fn is_confined(&self) -> Result<()> {
        let analysed = self.machine.must(&["systemd-analyze", "security", "--no-pager", "ollama.service"])?.stdout;
        let last = analysed.lines().rfind(|line| line.contains("Overall exposure")).context("no exposure")?;
        println!("{last}");
        let level = last.split_whitespace().find_map(|word| word.parse::<f64>().ok()).context("no number")?;
        ensure!(level < EXPOSURE, "{analysed}");
        Ok(())
    }

    fn knows_the_capital_of_france(&self) -> Result<()> {
        let answer = self.ask("smollm2", "What is the capital of France?", 24)?;
        println!("What is the capital of France? {answer}");
        ensure!(answer.contains("Paris"), "{answer}");
        Ok(())
    }

    /// Requests without a pause, of which none may fail.
    fn gets_a_model_while_it_answers(&self) -> Result<()> {
        let asks = format!(
            "while :; do curl --silent --fail --output /dev/null --data '{}' {API}/api/generate && echo ok >> /run/asked \
             || echo failed >> /run/failed; done",
            request("smollm2", "Hello", 1)
        );
        self.machine.must(&["systemd-run", "--quiet", "--unit=asker", "sh", "-c", &asks])?;
        let before = self.main_pid()?;
        let updated = self.run(&["/media/usb/update.run", "--install", "--start"])?;
        ensure!(updated.ok() && updated.both().contains("gemma3:latest answers"), "{}", updated.describe());
        ensure!(self.main_pid()? == before, "the service was started again");
        self.answers("gemma3")?;
        let failed = self.run(&["cat", "/run/failed"])?.stdout;
        self.machine.must(&["systemctl", "stop", "asker"])?;
        let asked = self.machine.must(&["wc", "-l", "/run/asked"])?.stdout;
        println!("requests while a model was added: {}", asked.trim());
        ensure!(failed.is_empty(), "requests failed: {failed}");
        self.has(&["gemma3", "smollm2", "mine"])
    }

    fn goes_back_when_an_upgrade_fails(&self) -> Result<()> {
        let failed = self.run(&["/media/usb/broken.run", "--install", "--start", "--rollback"])?;
        ensure!(failed.code == 33, "{}", failed.describe());
        for words in ["Service failed to start", "applet not found", "the machine is as it was before"] {
            ensure!(failed.both().contains(words), "{words}: {}", failed.describe());
        }
        let status = self.run(&["/media/usb/first.run", "--status"])?;
        ensure!(status.ok() && status.stdout.contains("ollama-deploy 1 is installed"), "{}", status.describe());
        self.answers("smollm2")
    }

    /// Also what others added is there after the new start: nothing was pruned.
    fn is_upgraded(&self) -> Result<()> {
        let before = self.main_pid()?;
        let upgraded = self.run(&["/media/usb/upgrade.run", "--install", "--start"])?;
        ensure!(upgraded.ok() && upgraded.both().contains("smollm2:latest answers"), "{}", upgraded.describe());
        ensure!(self.main_pid()? != before, "the old program still runs");
        self.has(&["gemma3", "smollm2", "mine"])?;
        self.answers("gemma3")
    }

    /// A version of the same package with another model and the same program.
    fn gets_another_model_with_the_next_version(&self) -> Result<()> {
        let before = self.main_pid()?;
        let upgraded = self.run(&["/media/usb/more.run", "--install"])?;
        ensure!(upgraded.ok(), "{}", upgraded.describe());
        ensure!(self.main_pid()? == before, "the service was started again");
        self.has(&["corp/SmolLM2-More", "smollm2", "gemma3", "mine"])
    }

    fn loses_a_model_that_the_next_version_drops(&self) -> Result<()> {
        let before = self.main_pid()?;
        let updated = self.run(&["/media/usb/other.run", "--install", "--start"])?;
        ensure!(updated.ok() && updated.both().contains("smollm2-too:latest answers"), "{}", updated.describe());
        ensure!(self.main_pid()? == before, "the service was started again");
        ensure!(!self.ollama(&["list"])?.contains("gemma3"), "a model that is no longer shipped is still there");
        self.has(&["smollm2-too", "smollm2", "mine"])
    }

    /// Ours goes, and the machine is as upstream's script leaves one.
    fn becomes_official(&self) -> Result<Official<'_>> {
        self.machine.must(&["cp", self.program, OFFICIAL])?;
        for run in ["/media/usb/other.run", "/media/usb/upgrade.run"] {
            let gone = self.run(&[run, "--uninstall", "--purge"])?;
            ensure!(gone.ok(), "{}", gone.describe());
        }
        ensure!(self.run(&["test", "-e", "/opt/ollama"])?.code == 1, "/opt/ollama is still there");
        self.machine.must(&["mkdir", "-p", "/usr/local/lib/ollama"])?;
        let account = ["useradd", "-r", "-s", "/bin/false", "-U", "-m", "-d", "/usr/share/ollama", "ollama"];
        self.machine.must(&account)?;
        let unit = "[Unit]\nDescription=Ollama Service\nAfter=network-online.target\n\n[Service]\n\
                    ExecStart=/usr/local/bin/ollama serve\nUser=ollama\nGroup=ollama\nRestart=always\nRestartSec=3\n\
                    Environment=\"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\"\n\n\
                    [Install]\nWantedBy=default.target\n";
        let write = "printf %s \"$1\" > /etc/systemd/system/ollama.service";
        self.machine.must(&["sh", "-c", write, "sh", unit])?;
        self.machine.must(&["systemctl", "daemon-reload"])?;
        self.machine.must(&["systemctl", "enable", "--now", "ollama"])?;
        Ok(Official { host: self })
    }

    fn run(&self, arguments: &[&str]) -> Result<Captured> {
        self.machine.run(arguments)
    }

    fn main_pid(&self) -> Result<String> {
        Ok(self.machine.must(&["systemctl", "show", "--value", "--property=MainPID", "ollama"])?.stdout)
    }

    /// Ollama's own command line, as an ordinary program of the machine.
    fn ollama(&self, arguments: &[&str]) -> Result<String> {
        let program = if self.run(&["test", "-e", self.program])?.ok() { self.program } else { OFFICIAL };
        let command = [&["env", "HOME=/tmp", program], arguments].concat();
        Ok(self.machine.must(&command)?.both())
    }

    fn has(&self, models: &[&str]) -> Result<()> {
        let list = self.ollama(&["list"])?;
        for model in models {
            ensure!(list.lines().any(|line| line.starts_with(&format!("{model}:latest "))), "no {model} in:\n{list}");
        }
        Ok(())
    }

    fn answers(&self, model: &str) -> Result<()> {
        let reply = self.generate(model, "Hello", 1)?;
        ensure!(reply["eval_count"].as_u64() > Some(0), "{model} says nothing: {reply}");
        Ok(())
    }

    fn ask(&self, model: &str, question: &str, tokens: u32) -> Result<String> {
        let reply = self.generate(model, question, tokens)?;
        Ok(reply["response"].as_str().context("no response")?.trim().to_owned())
    }

    fn generate(&self, model: &str, question: &str, tokens: u32) -> Result<serde_json::Value> {
        let (data, url) = (request(model, question, tokens), format!("{API}/api/generate"));
        let wait = ["--retry", "60", "--retry-connrefused", "--retry-delay", "1"];
        let curl =
            [&["curl", "--silent", "--show-error", "--fail"], wait.as_slice(), &["--data", &data, &url]].concat();
        let said = self.machine.must(&curl)?;
        Ok(serde_json::from_str(&said.stdout)?)
    }
}

/// The same machine with an Ollama that is not ours.
struct Official<'a> {
    host: &'a Host,
}

impl Official<'_> {
    fn official(&self) -> Result<()> {
        let host = self.host;
        self.gets_a_model_while_it_is_stopped()?;
        let updated = host.run(&["/media/usb/update.run", "--install", "--start"])?;
        ensure!(updated.ok() && updated.both().contains("gemma3:latest answers"), "{}", updated.describe());
        self.owns(&format!("{STORE}/gemma3.gguf"))?;
        self.owns(&format!("{STORE}/manifests/registry.ollama.ai/library/gemma3/latest"))?;
        ensure!(host.run(&["test", "-e", "/opt/ollama"])?.code == 1, "a prefix was made that nobody needs");
        host.ollama(&["cp", "gemma3", "mine"])?;
        // This one deletes at its start what no manifest refers to.
        host.machine.must(&["systemctl", "restart", "ollama"])?;
        host.answers("gemma3")?;
        host.has(&["gemma3", "mine"])?;

        let dropped = host.run(&["/media/usb/other.run", "--install", "--start"])?;
        ensure!(dropped.ok() && dropped.both().contains("smollm2-too:latest answers"), "{}", dropped.describe());
        ensure!(!host.ollama(&["list"])?.contains("gemma3"), "a model that is no longer shipped is still there");
        host.answers("mine")?;

        host.run(&["/media/usb/other.run", "--uninstall"])?;
        host.machine.must(&["systemctl", "restart", "ollama"])?;
        host.answers("mine")?;
        ensure!(!host.ollama(&["list"])?.contains("smollm2"), "a model of the package is still there");
        Ok(())
    }

    /// It is left stopped, unless `--start` is typed.
    fn gets_a_model_while_it_is_stopped(&self) -> Result<()> {
        let host = self.host;
        host.machine.must(&["systemctl", "stop", "ollama"])?;
        let placed = host.run(&["/media/usb/other.run", "--install"])?;
        let told = "ollama.service is not running and is not started: systemctl start ollama starts it, or --start";
        ensure!(placed.ok() && placed.both().contains(told), "{}", placed.describe());
        ensure!(host.main_pid()?.trim() == "0", "a service that was stopped runs");
        let started = host.run(&["/media/usb/other.run", "--install", "--start"])?;
        ensure!(started.ok() && started.both().contains("smollm2-too:latest answers"), "{}", started.describe());
        ensure!(host.main_pid()?.trim() != "0", "it was not started");
        let gone = host.run(&["/media/usb/other.run", "--uninstall"])?;
        ensure!(gone.ok() && host.main_pid()?.trim() != "0", "{}", gone.describe());
        Ok(())
    }

    fn owns(&self, path: &str) -> Result<()> {
        let owner = |path: &str| {
            let facts = std::fs::symlink_metadata(self.host.machine.path(path)).with_context(|| path.to_owned())?;
            Ok::<_, anyhow::Error>((facts.uid(), facts.gid()))
        };
        ensure!(owner(path)? == owner("/usr/share/ollama")?, "{path} belongs to {:?}", owner(path)?);
        Ok(())
    }
}

/// Reproducible: the most likely token each time.
fn request(model: &str, prompt: &str, tokens: u32) -> String {
    let options = serde_json::json!({"num_predict": tokens, "temperature": 0, "seed": 1});
    serde_json::json!({"model": model, "prompt": prompt, "stream": false, "options": options}).to_string()
}
