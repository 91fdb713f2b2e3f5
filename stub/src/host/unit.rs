//! Units as systemd sees them: looked at with systemctl, and watched after a start until they stay up.
//! Which unit is stopped or started, and when, is decided in `plan.rs` and `plan/removal.rs`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::host::failpoint;
use crate::host::machine::StepError;
use crate::host::root::Root;
use crate::host::tool::{Tool, ToolError};

/// What `systemctl show` says of a unit, in systemd's own words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UnitState {
    /// `active`, `inactive`, `failed`, `activating`…
    pub active: String,
    /// `running`, `dead`, `auto-restart`…
    pub sub: String,
    /// `enabled`, `disabled`, `static`…; empty when there is no unit file.
    pub enabled: String,
    /// Why it is down: `success`, `exit-code`, `signal`…
    pub result: String,
    /// How often systemd started it again by itself.
    pub restarts: u32,
    /// 0 when it does not run.
    pub main_pid: i32,
    /// Empty when it has none.
    pub control_group: String,
    /// Whether it is meant to end by itself.
    pub oneshot: bool,
}

const PROPERTIES: &str = "--property=Type,ActiveState,SubState,UnitFileState,Result,NRestarts,MainPID,ControlGroup";

/// How long a service has to stay up after its start, and how often it is looked at in that time.
const WATCH: Duration = Duration::from_secs(2);
const INTERVAL: Duration = Duration::from_millis(100);

fn parse(answer: &str) -> UnitState {
    let mut state = UnitState::default();
    for (name, value) in answer.lines().filter_map(|line| line.split_once('=')) {
        let text = value.trim().to_owned();
        match name {
            "ActiveState" => state.active = text,
            "SubState" => state.sub = text,
            "UnitFileState" => state.enabled = text,
            "Result" => state.result = text,
            "NRestarts" => state.restarts = text.parse().unwrap_or(0),
            "MainPID" => state.main_pid = text.parse().unwrap_or(0),
            "ControlGroup" => state.control_group = text,
            "Type" => state.oneshot = text == "oneshot",
            _ => {}
        }
    }
    state
}

impl UnitState {
    /// Whether it runs, or will run without anybody's doing: also while systemd waits before it starts it again.
    pub fn is_up(&self) -> bool {
        matches!(self.active.as_str(), "active" | "activating" | "reloading" | "refreshing")
    }

    pub fn has_failed(&self) -> bool {
        self.active == "failed"
    }

    /// Whether its process ended and systemd starts it over and over.
    pub fn keeps_restarting(&self) -> bool {
        self.sub.starts_with("auto-restart")
    }

    /// Whether it starts on boot, now or as soon as somebody enables it again.
    pub fn is_enabled(&self) -> bool {
        matches!(self.enabled.as_str(), "enabled" | "enabled-runtime" | "linked" | "linked-runtime")
    }

    /// Whether enabling it would make a difference.
    pub fn can_be_enabled(&self) -> bool {
        matches!(self.enabled.as_str(), "" | "disabled" | "enabled-runtime" | "linked-runtime")
    }
}

/// Whether systemd is the init system of this machine, and runs.
pub fn systemd_runs() -> bool {
    Path::new("/run/systemd/system").is_dir()
}

/// Where the links are that enable a service.
const UNITS: &str = "etc/systemd/system";

/// Who enables the services of a root, so that they start when it boots. systemd's own tool changes links below that root
/// alone when it is given one, and asks no systemd.
#[derive(Debug, Clone)]
pub struct Enabler {
    /// Nothing for the live root.
    below: Option<String>,
}

impl Enabler {
    /// Nobody where the tool is missing, or would be led out of the root.
    pub fn of(root: &Root) -> Option<Self> {
        Tool::Systemctl.find()?;
        if Self::led_out_of(root).is_some() {
            return None;
        }
        Some(Self { below: (!root.is_live()).then(|| root.path().display().to_string()) })
    }

    /// systemctl follows an absolute link on the way to the units of an image, and changes what is there: where they are, then.
    pub fn led_out_of(root: &Root) -> Option<PathBuf> {
        let units = UNITS.parse().ok().filter(|units| !root.is_live() && !root.others_get_to(units))?;
        Some(root.path().join(units.as_str()))
    }

    /// Whether a unit is enabled; nothing else is known of one that does not run here.
    pub fn look(&self, unit: &str) -> Result<UnitState, ToolError> {
        if self.below.is_none() && systemd_runs() {
            return Manager(()).look(unit);
        }
        match self.run("is-enabled", unit) {
            Ok(answer) => Ok(UnitState { enabled: answer.trim().to_owned(), ..UnitState::default() }),
            // Disabled, or there is no unit of this name.
            Err(error) if error.code.is_some() => Ok(UnitState::default()),
            Err(error) => Err(error),
        }
    }

    pub fn enable(&self, unit: &str) -> Result<(), ToolError> {
        self.run("enable", unit).map(drop)
    }

    pub fn disable(&self, unit: &str) -> Result<(), ToolError> {
        self.run("disable", unit).map(drop)
    }

    fn run(&self, verb: &str, unit: &str) -> Result<String, ToolError> {
        match &self.below {
            None => Tool::Systemctl.run(&[verb, "--", unit]),
            Some(root) => Tool::Systemctl.run(&[verb, &format!("--root={root}"), "--", unit]),
        }
    }
}

/// The systemd that runs this machine. All that is ever asked of it goes through here, and there is none below another
/// root: what is installed there does not run here. Every call fails when systemd does not answer, or will not do it.
#[derive(Debug, Clone, Copy)]
pub struct Manager(());

#[expect(clippy::unused_self, reason = "who has one acts on the running system")]
impl Manager {
    /// Whoever manages the services of this root: nobody, unless it is the running system.
    pub fn of(root: &Root) -> Option<Self> {
        root.is_live().then_some(Self(()))
    }

    /// A unit that systemd does not know is `inactive`.
    pub fn look(self, unit: &str) -> Result<UnitState, ToolError> {
        Ok(parse(&Tool::Systemctl.run(&["show", PROPERTIES, "--", unit])?))
    }

    /// Starts a unit, however often it was started and ended lately.
    pub fn start(self, unit: &str) -> Result<(), ToolError> {
        // systemd refuses to start what failed several times in a row. It knows nothing to forget of most units.
        let _ = self.reset_failed(unit);
        Tool::Systemctl.run(&["start", "--", unit]).map(drop)
    }

    pub fn stop(self, unit: &str) -> Result<(), ToolError> {
        Tool::Systemctl.run(&["stop", "--", unit]).map(drop)
    }

    /// Stops a unit that runs.
    pub fn stop_if_up(self, unit: &str) -> Result<(), ToolError> {
        if self.look(unit)?.is_up() { self.stop(unit) } else { Ok(()) }
    }

    pub fn reload(self) -> Result<(), ToolError> {
        Tool::Systemctl.run(&["daemon-reload"]).map(drop)
    }

    pub fn reset_failed(self, unit: &str) -> Result<(), ToolError> {
        Tool::Systemctl.run(&["reset-failed", "--", unit]).map(drop)
    }

    /// Starts a unit and watches it: systemd calls a simple service started before its program has done anything. The
    /// error says why it did not start, or did not stay up.
    pub fn start_and_watch(self, unit: &str) -> Result<(), StepError> {
        self.start(unit)?;
        let restarts = self.look(unit)?.restarts;
        let (mut watched, patience) = (Duration::ZERO, failpoint::patience(WATCH));
        while watched < patience {
            let state = self.look(unit)?;
            let down = !state.is_up() && !state.oneshot;
            if down || state.has_failed() || state.keeps_restarting() || state.restarts > restarts {
                return Err(StepError::State(format!("{unit} was started and ended again ({})", state.result)));
            }
            std::thread::sleep(INTERVAL);
            watched += INTERVAL;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_of_systemctl_is_read() {
        let state = parse(
            "MainPID=71\nResult=success\nNRestarts=3\nControlGroup=/system.slice/a.service\nActiveState=active\n\
             SubState=running\nUnitFileState=enabled\n",
        );
        assert!(state.is_up() && state.is_enabled() && !state.can_be_enabled() && !state.has_failed());
        assert_eq!((state.main_pid, state.restarts), (71, 3));
        assert_eq!(state.control_group, "/system.slice/a.service");
    }

    #[test]
    fn a_service_that_systemd_starts_over_and_over_counts_as_up() {
        let state = parse("ActiveState=activating\nSubState=auto-restart\nResult=exit-code\n");
        assert!(state.is_up() && state.keeps_restarting());
        let unknown = parse("ActiveState=inactive\nSubState=dead\nUnitFileState=\n");
        assert!(!unknown.is_up() && unknown.can_be_enabled() && !unknown.is_enabled());
    }
}
