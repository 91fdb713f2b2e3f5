//! The use case's Phase 3 and its verification, word for word: a real Ollama and a real model on a machine that has
//! a real systemd and no network. Needs root and Debian: `make acceptance`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use e2e::base::Suite;
use e2e::command::{Captured, wait_until};
use e2e::counters::Counters;
use e2e::machine::{BindRo, COMMAND_BOUND, Machine};
use e2e::package::Package;
use e2e::sockets;
use e2e::strace::Event;
use e2e::tracer::Tracer;
use e2e::transcript::Transcript;

const RUN: &str = "/media/usb/ollama-deploy.run";
const OLLAMA: &str = "/opt/ollama/bin/ollama";
const PORT: u16 = 11434;
/// An ordinary user of the machine.
const USER: &str = "alice";
const LISTENS_WITHIN: Duration = Duration::from_secs(60);
/// Two busy cores may need that long to load a model and begin.
const ANSWER_BOUND: Duration = Duration::from_secs(240);
/// A small model may talk without an end: after so many letters it has answered.
const ENOUGH_LETTERS: usize = 160;

#[test]
#[ignore = "needs root, Debian and minutes: run it with `make acceptance`"]
fn ollama_and_a_model_cross_the_gap_and_answer() -> Result<()> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().context("no target directory")?;
    let mut transcript = Transcript::create(&target.join("acceptance/transcript.txt"))?;
    let package = prepare(&mut transcript, &builder(target))?;
    let machine = Machine::boot(Suite::Bookworm, &[BindRo::new(&package.stick(), "/media/usb")])?;
    machine.add_user(USER)?;
    let mut site = Site { machine, transcript };
    let done = site.use_case();
    if done.is_err() {
        site.as_root(&["journalctl", "--no-pager", "--unit=ollama", "--lines=100"])?;
    }
    println!("transcript: {}", site.transcript.path().display());
    done?;
    site.machine.power_off()
}

fn builder(target: &Path) -> PathBuf {
    std::env::var_os("AIRGAP_DEPLOY_BUILDER").map_or_else(|| target.join("release/builder"), PathBuf::from)
}

/// Phase 1, on this host.
fn prepare(transcript: &mut Transcript, builder: &Path) -> Result<Package> {
    transcript.step("Prepare Deployment Package")?;
    let package = Package::build(builder)?;
    transcript.note(&format!("AirGapDeploy.ollama.toml:\n{}", package.manifest))?;
    transcript.command(&format!("$ {}", package.typed), &package.said)?;
    transcript.note(&format!("requests to the server:\n{}", package.requests))?;
    ensure!(package.said.ok(), "the builder failed: {}", package.said.describe());
    ensure!(!package.requests.contains("mistral"), "a component with required = false was fetched");
    transcript.note(&format!("{} bytes", package.size()?))?;
    Ok(package)
}

/// The air-gapped machine, and the record of what is done there.
struct Site {
    machine: Machine,
    transcript: Transcript,
}

impl Site {
    fn use_case(&mut self) -> Result<()> {
        ensure!(sockets::interfaces(self.machine.leader())? == ["lo"], "the machine has more than loopback");
        let tracer = Tracer::attach(&self.machine)?;
        self.review_installation_plan()?;
        self.execute_installation()?;
        self.judge_installer(tracer)?;
        self.verify_installation()?;

        let tracer = Tracer::attach(&self.machine)?;
        self.start_service()?;
        self.test_inference()?;
        self.judge_service(tracer)?;
        self.verify_deployment()?;
        self.survive_a_reboot()
    }

    fn review_installation_plan(&mut self) -> Result<()> {
        self.transcript.step("Review Installation Plan")?;
        let plan = self.as_user(&[RUN, "--dry-run"])?;
        ensure!(plan.ok(), "the dry run failed for an ordinary user");
        let text = self.as_user(&[RUN, "--dry-run", "--verbose"])?.both();
        // Where files will be installed; what system changes will be made; required permissions.
        for fact in [
            OLLAMA,
            "/opt/ollama/lib/ollama/libggml-base.so",
            "/opt/ollama/models/llama2-7b.gguf",
            "/etc/systemd/system/ollama.service",
            "user",
            "group",
            "daemon-reload",
            "root",
        ] {
            ensure!(text.contains(fact), "the plan does not name {fact}");
        }
        for untouched in ["/opt/ollama", "/etc/systemd/system/ollama.service", "/var/lib/airgap-deploy"] {
            ensure!(self.machine.run(&["test", "-e", untouched])?.code == 1, "the dry run made {untouched}");
        }
        ensure!(self.machine.run(&["getent", "passwd", "ollama"])?.code == 2, "the dry run made the account");
        Ok(())
    }

    fn execute_installation(&mut self) -> Result<()> {
        self.transcript.step("Execute Installation")?;
        ensure!(self.as_user(&[RUN, "--verify"])?.ok(), "the package does not verify");
        let refused = self.as_user(&[RUN, "--install"])?;
        ensure!(refused.code == 20, "an ordinary user was not refused with exit code 20");
        ensure!(refused.both().contains("Permission denied"), "the refusal does not say: Permission denied");
        ensure!(self.as_root(&[RUN, "--install"])?.ok(), "the installation failed");
        Ok(())
    }

    fn verify_installation(&mut self) -> Result<()> {
        self.transcript.step("Verify Installation")?;
        let version = self.as_user(&[OLLAMA, "--version"])?;
        ensure!(version.ok() && version.both().contains("0.15.0"), "the version is not 0.15.0");
        let models = self.as_user(&["ls", "-lh", "/opt/ollama/models/"])?;
        ensure!(models.ok() && models.stdout.contains("llama2-7b.gguf"), "the model is not in its directory");
        let status = self.as_root(&["systemctl", "status", "ollama"])?;
        ensure!(status.code == 3 && status.stdout.contains("inactive (dead)"), "the service is not inactive (dead)");
        Ok(())
    }

    fn start_service(&mut self) -> Result<()> {
        self.transcript.step("Start Ollama Service")?;
        ensure!(self.as_root(&["systemctl", "start", "ollama"])?.ok(), "the service does not start");
        ensure!(self.as_root(&["systemctl", "enable", "ollama"])?.ok(), "the service cannot be enabled");
        self.is_active_and_listens()
    }

    fn test_inference(&mut self) -> Result<()> {
        self.transcript.step("Test Inference")?;
        let list = self.as_user(&[OLLAMA, "list"])?;
        ensure!(list.ok() && list.stdout.contains("llama2-7b"), "ollama list does not show llama2-7b");
        self.ask("Hello, how are you?")?;
        let request = r#"{"model":"llama2-7b","prompt":"Hello","stream":false,"options":{"num_predict":16}}"#;
        let url = format!("http://127.0.0.1:{PORT}/api/generate");
        let reply = self.as_user(&["curl", "--silent", "--show-error", "--fail", "--data", request, &url])?;
        let reply: serde_json::Value =
            serde_json::from_str(&reply.stdout).context("the API does not answer in JSON")?;
        ensure!(reply["done"] == true && reply["response"].as_str().is_some_and(|text| !text.trim().is_empty()));
        Ok(())
    }

    fn verify_deployment(&mut self) -> Result<()> {
        self.transcript.step("Post-Deployment Verification")?;
        let pids = self.as_root(&["pgrep", "ollama"])?;
        let pids = pids.stdout.split_whitespace().collect::<Vec<_>>().join(",");
        let open = self.as_root(&["lsof", "-n", "-P", "-i", "-a", "-p", &pids])?;
        let strangers: Vec<&str> = open
            .stdout
            .lines()
            .skip(1)
            .filter(|line| !line.contains(" 127.0.0.1:") && !line.contains(" [::1]:"))
            .collect();
        ensure!(strangers.is_empty(), "sockets beyond loopback: {strangers:#?}");
        self.ask("Explain quantum computing")?;
        self.only_loopback_sockets()?;
        let enabled = self.as_root(&["systemctl", "is-enabled", "ollama"])?;
        ensure!(enabled.ok() && enabled.stdout == "enabled\n", "the service is not enabled");
        Ok(())
    }

    fn survive_a_reboot(&mut self) -> Result<()> {
        self.transcript.step("Reboot")?;
        self.machine.reboot()?;
        self.is_active_and_listens()?;
        self.ask("Hello")?;
        self.only_loopback_sockets()
    }

    fn is_active_and_listens(&mut self) -> Result<()> {
        let leader = self.machine.leader();
        let listens = || Ok(sockets::of(leader)?.iter().any(|socket| socket.listening && socket.local.port() == PORT));
        let listens = wait_until(LISTENS_WITHIN, listens)?;
        let status = self.as_root(&["systemctl", "status", "ollama"])?;
        ensure!(status.ok() && status.stdout.contains("active (running)"), "the service is not active (running)");
        ensure!(listens, "nothing listens on port {PORT} after {LISTENS_WITHIN:?}");
        Ok(())
    }

    /// `ollama run`, as the use case types it; an answer is text on standard output.
    fn ask(&mut self, question: &str) -> Result<()> {
        let letters = |said: &str| said.chars().filter(|c| c.is_alphabetic()).count();
        let enough = |said: &str| letters(said) >= ENOUGH_LETTERS;
        let mut said = self.machine.run_until(USER, ANSWER_BOUND, enough, &[OLLAMA, "run", "llama2-7b", question])?;
        // The spinner that `ollama run` draws there, terminal or not.
        said.stderr = said.stderr.lines().filter(|line| !line.contains('\u{1b}')).collect::<Vec<_>>().join("\n");
        self.transcript.command(&format!("$ {OLLAMA} run llama2-7b \"{question}\""), &said)?;
        ensure!(said.ok() || said.cut || said.timed_out, "ollama run failed");
        ensure!(letters(&said.stdout) > 0, "ollama run printed no answer");
        Ok(())
    }

    /// The installer, the dry run before it, and everything that either started.
    fn judge_installer(&mut self, tracer: Tracer) -> Result<()> {
        let seen = tracer.finish(&self.transcript.path().with_file_name("installation.strace"))?;
        self.transcript.note(&format!("trace of the installation: {}", summary(&seen)))?;
        ensure!(!seen.is_empty(), "the trace of the installation saw nothing");
        let internet: Vec<&str> =
            seen.iter().filter(|event| event.is_internet()).map(|event| event.line.as_str()).collect();
        ensure!(internet.is_empty(), "Internet sockets during the installation: {internet:#?}");
        Ok(())
    }

    /// The service, its runners, and the commands that asked it.
    fn judge_service(&mut self, tracer: Tracer) -> Result<()> {
        let seen = tracer.finish(&self.transcript.path().with_file_name("service.strace"))?;
        self.transcript.note(&format!("trace of the service: {}", summary(&seen)))?;
        let served = |event: &Event| event.call == "bind" && event.address.is_some_and(|(_, port)| port == PORT);
        ensure!(seen.iter().any(served), "the trace did not see the service open its port");
        let outside: Vec<&str> =
            seen.iter().filter(|event| event.leaves_loopback()).map(|event| event.line.as_str()).collect();
        ensure!(outside.is_empty(), "attempts to leave loopback: {outside:#?}");
        self.only_loopback_sockets()
    }

    fn only_loopback_sockets(&mut self) -> Result<()> {
        let counted = Counters::of(self.machine.leader())?;
        self.transcript.note(&format!("{counted:?}"))?;
        ensure!(
            counted == Counters { datagrams: 0, no_routes: 0 },
            "something tried to leave the machine: {counted:?}"
        );
        let sockets = sockets::of(self.machine.leader())?;
        let lines: Vec<String> =
            sockets.iter().map(|socket| format!("{} {} → {}", socket.table, socket.local, socket.remote)).collect();
        self.transcript.note(&format!("Internet sockets of the machine:\n{}", lines.join("\n")))?;
        match sockets.iter().find(|socket| !socket.is_loopback()) {
            Some(socket) => bail!("a socket beyond loopback: {socket:?}"),
            None => Ok(()),
        }
    }

    fn as_user(&mut self, arguments: &[&str]) -> Result<Captured> {
        let said = self.machine.run_within(USER, COMMAND_BOUND, arguments)?;
        self.transcript.command(&format!("$ {}", arguments.join(" ")), &said)?;
        Ok(said)
    }

    fn as_root(&mut self, arguments: &[&str]) -> Result<Captured> {
        let said = self.machine.run(arguments)?;
        self.transcript.command(&format!("# {}", arguments.join(" ")), &said)?;
        Ok(said)
    }
}

/// How many calls named which family.
fn summary(seen: &[Event]) -> String {
    let mut families: Vec<&str> = seen.iter().map(|event| event.family.as_str()).collect();
    families.sort_unstable();
    let counts = families.chunk_by(|a, b| a == b).map(|run| format!("{} × {}", run.len(), run[0]));
    counts.collect::<Vec<_>>().join(", ")
}
