//! Services of the package: stopped, enabled, started, as systemd and the administrator want it.
//! How a service is watched after its start is in `host/unit.rs`.

use payload::RelPath;
use payload::index::Role;

use super::Proof;
use super::planner::Planner;
use super::step::Step;
use super::store::Store;
use crate::host::tool::Tool;
use crate::host::unit::UnitState;
use crate::plan::facts::Systemd;
use crate::record::receipt::LinkTarget;

impl Planner<'_> {
    /// A unit of the same name elsewhere is somebody else's: it would silently stop counting.
    pub(super) fn namesakes(&mut self) {
        for path in self.host.namesakes.clone() {
            if self.options.replace {
                self.plan.notes.push(format!("{path} no longer takes effect: the package has a unit of the same name"));
            } else {
                self.conflict(&path, "is somebody else's, and would no longer take effect".to_owned(), true);
            }
        }
    }

    pub(super) fn services(&mut self) {
        if self.host.systemd != Systemd::Running {
            return self.services_of_an_image();
        }
        let disturbing =
            || self.plan.steps.iter().filter(|step| step.disturbs_services() && !self.takes_the_command(step));
        let disturbs = disturbing().count() > 0;
        // Ollama looks for its models whenever it is asked for one.
        let disturbs_ollama = !disturbing().all(|step| self.is_about_models(step));
        if self.plan.steps.iter().any(|step| self.changes_units(step)) {
            self.plan.steps.push(Step::ReloadSystemd);
        }
        for unit in &self.index.units {
            self.service(&unit.name, if unit.drop_in.is_some() { disturbs_ollama } else { disturbs });
        }
        self.service_of_the_store();
        self.services_no_longer_shipped();
        self.plan.proof = self.proof();
        self.plan.rollback = self.options.rollback;
        if self.options.rollback {
            // What is a step of the installation is undone with it.
            self.plan.steps.append(&mut self.plan.afterwards);
        }
    }

    /// Where no systemd runs, its tool enables services all the same: they start when the image boots.
    fn services_of_an_image(&mut self) {
        let mut note = |text: &str| self.plan.notes.push(text.to_owned());
        if self.options.start {
            note("--start is ignored: it needs a running systemd");
        }
        if !self.host.tools.contains(&Tool::Systemctl) {
            if self.options.enable {
                note("--enable is ignored: this machine has no systemctl");
            }
            return;
        }
        for unit in &self.index.units {
            let state = self.host.units.get(&unit.name).cloned().unwrap_or_default();
            if self.options.enable && state.can_be_enabled() {
                self.plan.steps.push(Step::EnableUnit { unit: unit.name.clone() });
            }
        }
        self.services_no_longer_shipped();
    }

    /// The Ollama whose store the models go to is somebody else's: it is started when that is asked for, and left alone
    /// otherwise.
    fn service_of_the_store(&mut self) {
        let Store::Found(store) = &self.host.store else { return };
        let Some(unit) = &store.unit else { return };
        if self.host.units.get(unit).is_none_or(UnitState::is_up) {
            return;
        }
        if self.options.start {
            self.plan.afterwards.push(Step::StartUnit { unit: unit.clone() });
        } else {
            let short = unit.trim_end_matches(".service");
            let note =
                format!("{unit} is not running and is not started: systemctl start {short} starts it, or --start");
            self.plan.notes.push(note);
        }
    }

    /// `--start` asks every model of the package: of the package's own Ollama, or of the one whose store they go to.
    fn proof(&self) -> Option<Proof> {
        if !self.options.start {
            return None;
        }
        let own = self.index.units.iter().find(|unit| unit.drop_in.is_some()).map(|unit| unit.name.clone());
        let unit = own.or_else(|| match &self.host.store {
            Store::Found(store) => store.unit.clone(),
            Store::Own | Store::Nobodys(_) | Store::Unclear(_) => None,
        })?;
        Some(Proof { unit, models: self.index.models.iter().map(|model| model.name.clone()).collect() })
    }

    /// Whether a step changes nothing but the models in a store.
    fn is_about_models(&self, step: &Step) -> bool {
        let of_a_model = |role: Role| matches!(role, Role::ModelBlob | Role::ModelManifest);
        let shipped = |path: &RelPath| self.shipped.file(path).map(|file| file.role);
        match step {
            Step::PlaceFile(place) => of_a_model(place.role),
            Step::MakeHardLink { to, .. } => shipped(to).is_some_and(of_a_model),
            Step::RemoveFile { path, .. } => {
                let Some(receipt) = &self.host.receipt else { return false };
                let link = receipt.links.at(path);
                let file = match link.map(|link| &link.target) {
                    Some(LinkTarget::Hard(file)) => file,
                    _ => path,
                };
                receipt.file(file).is_some_and(|file| of_a_model(file.role))
            }
            _ => false,
        }
    }

    /// Whether a step takes the installer's own command away, which no service runs.
    fn takes_the_command(&self, step: &Step) -> bool {
        let Step::RemoveFile { path, .. } = step else { return false };
        let recorded = self.host.receipt.as_ref().and_then(|receipt| receipt.file(path));
        recorded.is_some_and(|file| file.role == Role::Installer)
    }

    fn changes_units(&self, step: &Step) -> bool {
        match step {
            Step::PlaceFile(place) => place.role == Role::Unit,
            Step::RemoveFile { path, .. } => {
                let recorded = self.host.receipt.as_ref().and_then(|receipt| receipt.file(path));
                recorded.is_some_and(|file| file.role == Role::Unit)
            }
            _ => false,
        }
    }

    fn service(&mut self, unit: &str, disturbs: bool) {
        let state = self.host.units.get(unit).cloned().unwrap_or_default();
        let restarts = state.is_up() && disturbs;
        if restarts {
            self.plan.steps.insert(0, Step::StopUnit { unit: unit.to_owned() });
        }
        if self.options.enable && state.can_be_enabled() {
            self.plan.steps.push(Step::EnableUnit { unit: unit.to_owned() });
        }
        if restarts || (self.options.start && !state.is_up()) {
            self.plan.afterwards.push(Step::StartUnit { unit: unit.to_owned() });
        }
    }
}
