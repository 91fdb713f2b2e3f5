//! External binaries: the program at its install path, its libraries where it looks for them.
//! Taking archives apart is in `archive.rs`.

use std::collections::BTreeMap;
use std::fs::File;

use payload::index::Role;
use payload::{Mode, Owner, RelPath, elf_facts};

use crate::content::archive::{self, Exclude, Limits, Member, Members, OnDisk, Selection, Unpacked};
use crate::fetch::artifact::Artifact;
use crate::manifest::{InstallPath, SourceKind};

use super::{Content, Entry, Job, Placement, Placing, relative};
use crate::content::error::ContentError;

impl From<OnDisk> for Content {
    fn from(OnDisk { path, size, digest }: OnDisk) -> Self {
        Self::Disk { path, size, digest }
    }
}

impl Placing<'_> {
    pub(super) fn place_binary(
        &mut self,
        job: Job<'_>,
        artifact: &Artifact,
        install_path: &InstallPath,
        exclude: &[String],
    ) -> Result<(), ContentError> {
        let location = location(artifact);
        let exclude = Exclude::new(exclude)
            .map_err(|problem| job.unsuitable("its", problem, "correct the pattern in the manifest".to_owned()))?;
        let workdir = self.workdir.join(job.position.to_string());
        match archive::unpack(artifact, &exclude, Limits::default(), &workdir)? {
            Unpacked::Program(content) => {
                self.check_program(job, &content, &location)?;
                let mode = job.mode(Mode::EXECUTABLE);
                let entry = Entry::File { content: content.into(), mode, role: Role::Program };
                self.add(job, install_path.path.clone(), job.owner(&Owner::root()), entry)?;
                self.warn_unused(job, &exclude, &[]);
                Ok(())
            }
            Unpacked::Members(members) => {
                self.place_members(job, &members, install_path)?;
                self.warn_unused(job, &exclude, &members.excluded);
                Ok(())
            }
            Unpacked::Neither(what) => Err(ContentError::BinaryNotFound {
                component: job.component.name.clone(),
                archive: location,
                wanted: "program".to_owned(),
                holds: format!("it is {what}"),
                remedy: if is_release(job) {
                    "set asset_pattern to the asset that is the program, or an archive that holds it"
                } else {
                    "let the source name the program, or an archive that holds it"
                },
            }),
        }
    }

    fn add(&mut self, job: Job<'_>, path: RelPath, owner: Owner, entry: Entry) -> Result<(), ContentError> {
        self.tree.add(job.position, Placement { path, owner, entry })
    }

    fn warn_unused(&mut self, job: Job<'_>, exclude: &Exclude, taken: &[(RelPath, String)]) {
        for pattern in exclude.unused(taken) {
            self.warn(job, &format!("has an exclude pattern that matches nothing: {pattern:?}"));
        }
    }

    fn place_members(&mut self, job: Job<'_>, members: &Members, install: &InstallPath) -> Result<(), ContentError> {
        let wanted = relative(install);
        let missing = |holds: String| ContentError::BinaryNotFound {
            component: job.component.name.clone(),
            archive: members.location.clone(),
            wanted: wanted.to_owned(),
            holds,
            remedy: if is_release(job) {
                "set install_path to the member that you want, or asset_pattern to the archive that holds it"
            } else {
                "set install_path to the member that you want, or let the source name the archive that holds it"
            },
        };
        let (main, moves) = match archive::select(members, wanted) {
            Selection::Program { member, companions } => {
                let base = self.base(&install.path)?;
                let libraries = base.join(&format!("lib/{}", member.name()))?;
                if companions.as_ref().is_some_and(|from| members.list.keys().any(|path| path.starts_with(from))) {
                    self.check_reach(job, install, &base);
                }
                let companions = companions.map(|from| Move { from, to: libraries });
                let program = Move { from: member.clone(), to: install.path.clone() };
                (Some(member), [Some(program), companions].into_iter().flatten().collect())
            }
            Selection::Directory(from) => (None, vec![Move { from, to: install.path.clone() }]),
            Selection::Ambiguous(candidates) => return Err(missing(archive::listing(members, Some(&candidates)))),
            Selection::Missing => return Err(missing(absent(members, wanted))),
        };
        Transfer { members, main, moves }.carry_out(self, job)
    }

    /// The directory that holds `bin` and `lib`: two above a program in a `bin`, else the prefix, else beside it.
    fn base(&self, install_path: &RelPath) -> Result<RelPath, ContentError> {
        let parent = install_path.parent();
        let above_bin = parent.as_ref().filter(|parent| parent.name() == "bin").and_then(RelPath::parent);
        if let Some(base) = above_bin {
            return Ok(base);
        }
        if install_path.starts_with(self.prefix()) {
            return Ok(self.prefix().clone());
        }
        parent.map_or_else(|| Ok(self.prefix().clone()), Ok)
    }

    /// Ollama looks for its libraries in `../lib/ollama`, seen from the directory of its program.
    fn check_reach(&mut self, job: Job<'_>, install: &InstallPath, base: &RelPath) {
        if install.path.parent().and_then(|directory| directory.parent()).as_ref() != Some(base) {
            let text = format!(
                "puts its program at {} and its libraries below {base}/lib, where the program may not look for them; \
                 an install_path such as \"bin/{}\" keeps them together",
                install.path,
                install.path.name()
            );
            self.warn(job, &text);
        }
    }

    /// Refuses a program that the target would refuse, and warns about what may not run there.
    fn check_program(&mut self, job: Job<'_>, content: &OnDisk, name: &str) -> Result<(), ContentError> {
        match machine(content)? {
            Machine::Of(machine) if machine != self.arch.name() => {
                let arch = self.arch;
                let what = if is_release(job) {
                    format!("set asset_pattern to the asset for {arch}")
                } else {
                    format!("let the source name the program for {arch}")
                };
                let remedy = format!(
                    "{what}, or build for {machine}: --target {machine}; one manifest serves both where `{{goarch}}` (amd64, \
                     arm64) or `{{machine}}` (x86_64, aarch64) stands in the source"
                );
                let problem = format!("is a program for {machine}, and the package is for {arch}");
                return Err(job.unsuitable(name, problem, remedy));
            }
            Machine::Damaged(problem) => self.warn(job, &format!("brings {name}, a damaged ELF file: {problem}")),
            Machine::Of(_) => {}
            Machine::None => self.warn(job, &format!("brings {name}, which is no ELF program")),
        }
        Ok(())
    }

    /// Warns once about the libraries that will not load on the target.
    fn check_libraries(&mut self, job: Job<'_>, libraries: &[(&RelPath, &OnDisk)]) -> Result<(), ContentError> {
        let mut foreign = Vec::new();
        for (path, content) in libraries {
            if matches!(machine(content)?, Machine::Of(machine) if machine != self.arch.name()) {
                foreign.push(path);
            }
        }
        if let Some(first) = foreign.first() {
            let (count, arch) = (foreign.len(), self.arch);
            self.warn(job, &format!("brings {count} libraries that are not for {arch}, such as {:?}", first.as_str()));
        }
        Ok(())
    }
}

/// Whether the manifest chooses among the assets of a release.
fn is_release(job: Job<'_>) -> bool {
    matches!(job.component.source().map(|source| &source.kind), Some(SourceKind::GithubRelease { .. }))
}

enum Machine {
    None,
    Of(String),
    Damaged(String),
}

fn machine(content: &OnDisk) -> Result<Machine, ContentError> {
    let file = File::open(&content.path).map_err(ContentError::io("open", &content.path))?;
    Ok(match elf_facts(file) {
        Ok(Some(facts)) => Machine::Of(facts.machine),
        Ok(None) => Machine::None,
        Err(error) => Machine::Damaged(error.to_string()),
    })
}

/// A member, or a directory of members, and where it goes.
struct Move {
    from: RelPath,
    to: RelPath,
}

/// The selected members on their way to the target.
struct Transfer<'a> {
    members: &'a Members,
    /// The program itself, which the component's mode and owner are for.
    main: Option<&'a RelPath>,
    moves: Vec<Move>,
}

impl Transfer<'_> {
    fn target(&self, path: &RelPath) -> Result<Option<RelPath>, ContentError> {
        for Move { from, to } in &self.moves {
            if path == from {
                return Ok(Some(to.clone()));
            }
            if path.starts_with(from) {
                let inner = path.as_str().get(from.as_str().len() + 1..).unwrap_or_default();
                return Ok(Some(to.join(inner)?));
            }
        }
        Ok(None)
    }

    fn carry_out(&self, placing: &mut Placing<'_>, job: Job<'_>) -> Result<(), ContentError> {
        let mut targets: BTreeMap<&RelPath, RelPath> = BTreeMap::new();
        for path in self.members.list.keys() {
            if let Some(target) = self.target(path)? {
                targets.insert(path, target);
            }
        }
        let mut libraries = Vec::new();
        for (path, target) in &targets {
            let Some(member) = self.members.list.get(*path) else { continue };
            let is_main = self.main == Some(*path);
            if let Member::File { content, .. } = member {
                if is_main {
                    placing.check_program(job, content, path.as_str())?;
                } else {
                    libraries.push((*path, content));
                }
            }
            if *member == Member::Directory {
                placing.tree.need_directory(job.position, target.clone());
                continue;
            }
            let owner = if is_main { job.owner(&Owner::root()) } else { Owner::root() };
            let entry = self.entry(member, is_main, job, &targets);
            placing.add(job, target.clone(), owner, entry)?;
        }
        for (path, pattern) in &self.members.excluded {
            if let Some(target) = self.target(path)? {
                placing.tree.note_excluded(target, pattern.clone());
            }
        }
        placing.check_libraries(job, &libraries)
    }

    fn entry(&self, member: &Member, is_main: bool, job: Job<'_>, targets: &BTreeMap<&RelPath, RelPath>) -> Entry {
        match member {
            Member::SymbolicLink { target } => Entry::SymbolicLink { target: target.clone() },
            Member::HardLink { to } => match targets.get(to) {
                // The program has a mode and an owner of its own, which a second name would share.
                Some(first) if !is_main && self.main != Some(to) => Entry::HardLink { to: first.clone() },
                _ => self.file(to, is_main, job),
            },
            Member::File { content, executable } => file(content, *executable, is_main, job),
            Member::Directory => Entry::Directory { mode: Mode::EXECUTABLE },
        }
    }

    /// A copy of the file `original`, which the archive gives a second name.
    fn file(&self, original: &RelPath, is_main: bool, job: Job<'_>) -> Entry {
        match self.members.list.get(original) {
            Some(Member::File { content, executable }) => file(content, *executable, is_main, job),
            _ => Entry::HardLink { to: original.clone() },
        }
    }
}

fn file(content: &OnDisk, executable: bool, is_main: bool, job: Job<'_>) -> Entry {
    let mode = match (is_main, executable) {
        (true, _) => job.mode(Mode::EXECUTABLE),
        (false, true) => Mode::EXECUTABLE,
        (false, false) => Mode::READABLE,
    };
    Entry::File { content: content.clone().into(), mode, role: Role::Program }
}

/// What to say of an archive that lacks `wanted`.
fn absent(members: &Members, wanted: &str) -> String {
    let listing = archive::listing(members, None);
    let name = wanted.rsplit('/').next().unwrap_or(wanted);
    match members.excluded.iter().find(|(path, _)| path.name() == name) {
        Some((path, pattern)) => format!("exclude pattern {pattern:?} takes {:?} away; {listing}", path.as_str()),
        None => listing,
    }
}

fn location(artifact: &Artifact) -> String {
    match artifact {
        Artifact::File(file) => file.location.clone(),
        Artifact::Directory { path } => path.display().to_string(),
        Artifact::Model(model) => model.name.display_shortest(),
    }
}
