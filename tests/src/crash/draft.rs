//! A package made from values, without manifest and builder: any content, in a moment.
//! The packages that the tests share are in `sample.rs`.

use std::fs::File;
use std::io::{BufWriter, Cursor, Read, Write};
use std::path::Path;

use anyhow::{Context, Result};
use payload::index::{
    Arch, Blob, Build, Component, ComponentKind, Directory, Document, Encoding, File as Entry, Index, Install, Link,
    LinkKind, OnlyFor, PackageFacts, Role, Stub, Target, Unit,
};
use payload::{CHUNK_SIZE, Contents, Digest, Mode, Owner, RelPath};

/// A package in the making.
#[derive(Debug, Clone)]
pub struct Draft {
    pub index: Index,
    stored: Vec<Vec<u8>>,
    owner: Owner,
    program: Vec<u8>,
    only_for: OnlyFor,
}

impl Draft {
    /// A package without content. Its service account, if it has one, is called `demo`.
    ///
    /// # Errors
    /// The name is not one.
    pub fn new(version: &str, prefix: &str, account: bool) -> Result<Self> {
        let service = Owner { user: "demo".parse()?, group: "demo".parse()? };
        let program = program(0);
        let index = Index {
            package: PackageFacts {
                name: "demo".parse().map_err(anyhow::Error::msg)?,
                version: version.to_owned(),
                description: "A package of the tests".to_owned(),
            },
            target: Target { arch: std::env::consts::ARCH.parse::<Arch>().map_err(anyhow::Error::msg)?, glibc: None },
            build: Build {
                builder_version: "0".to_owned(),
                manifest: Digest::of(version.as_bytes()),
                stub: Stub { size: program.len() as u64, digest: Digest::of(&program) },
            },
            install: Install { prefix: prefix.parse()?, account: account.then(|| service.clone()), command: None },
            components: vec![Component {
                name: "demo".to_owned(),
                kind: ComponentKind::ExternalBinary,
                required: true,
                sources: Vec::new(),
            }],
            directories: Vec::new(),
            files: Vec::new(),
            links: Vec::new(),
            units: Vec::new(),
            models: Vec::new(),
            blobs: Vec::new(),
            documents: vec![Document {
                name: "manifest.toml".parse()?,
                size: version.len() as u64,
                digest: Digest::of(version.as_bytes()),
            }],
            total_length: 0,
        };
        let owner = if account { service } else { Owner::root() };
        Ok(Self { index, stored: Vec::new(), owner, program, only_for: OnlyFor::everybody() })
    }

    /// Lets the installer, in this version, become the command `path`.
    pub fn command(&mut self, path: &str, version: u8) -> Result<&mut Self> {
        self.program = program(version);
        self.index.install.command = Some(path.parse()?);
        self.index.build.builder_version = version.to_string();
        self.index.build.stub = Stub { size: self.program.len() as u64, digest: Digest::of(&self.program) };
        Ok(self)
    }

    /// What the command holds then.
    pub fn program(&self) -> &[u8] {
        &self.program
    }

    /// What is added from now on is for these optional components alone; for every target without any.
    pub fn only_for(&mut self, names: &[&str]) -> &mut Self {
        let mut positions = Vec::new();
        for name in names {
            let known = self.index.components.iter().position(|component| component.name == *name);
            positions.push(known.unwrap_or(self.index.components.len()));
            if known.is_none() {
                let (kind, sources) = (ComponentKind::ModelFile, Vec::new());
                let component = Component { name: (*name).to_owned(), kind, required: false, sources };
                self.index.components.push(component);
            }
        }
        self.only_for = OnlyFor::of(positions);
        self
    }

    /// Adds a directory of root.
    pub fn directory(&mut self, path: &str) -> Result<&mut Self> {
        self.directory_of(path, 0o755, Owner::root())
    }

    /// Adds a directory of the service account.
    pub fn service_directory(&mut self, path: &str, mode: u32) -> Result<&mut Self> {
        self.directory_of(path, mode, self.owner.clone())
    }

    fn directory_of(&mut self, path: &str, mode: u32, owner: Owner) -> Result<&mut Self> {
        let only_for = self.only_for.clone();
        self.index.directories.push(Directory { path: path.parse()?, mode: Mode::try_from(mode)?, owner, only_for });
        Ok(self)
    }

    /// Adds a file of root whose content is stored as it is.
    pub fn file(&mut self, path: &str, role: Role, mode: u32, content: &[u8]) -> Result<&mut Self> {
        self.entry(path, role, mode, Owner::root(), content, Encoding::Raw)
    }

    /// Adds a file of root whose content is stored compressed.
    pub fn packed_file(&mut self, path: &str, role: Role, mode: u32, content: &[u8]) -> Result<&mut Self> {
        self.entry(path, role, mode, Owner::root(), content, Encoding::Xz)
    }

    /// Adds a file of the service account.
    pub fn service_file(&mut self, path: &str, role: Role, mode: u32, content: &[u8]) -> Result<&mut Self> {
        self.entry(path, role, mode, self.owner.clone(), content, Encoding::Raw)
    }

    fn entry(
        &mut self,
        path: &str,
        role: Role,
        mode: u32,
        owner: Owner,
        content: &[u8],
        encoding: Encoding,
    ) -> Result<&mut Self> {
        let digest = Digest::of(content);
        if self.index.blob(digest).is_none() {
            self.blob(digest, content, encoding)?;
        }
        self.index.files.push(Entry {
            path: path.parse()?,
            blob: digest,
            mode: Mode::try_from(mode)?,
            owner,
            role,
            component: self.only_for.positions().first().copied().unwrap_or_default(),
            only_for: self.only_for.clone(),
            elf: None,
        });
        self.index.files.sort_by_key(|file| file.role);
        Ok(self)
    }

    fn blob(&mut self, digest: Digest, content: &[u8], encoding: Encoding) -> Result<()> {
        let stored = match encoding {
            Encoding::Raw => content.to_vec(),
            Encoding::Xz => {
                let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
                encoder.write_all(content)?;
                encoder.finish()?
            }
        };
        let chunk = usize::try_from(CHUNK_SIZE)?;
        self.index.blobs.push(Blob {
            digest,
            size: content.len() as u64,
            encoding,
            stored_size: stored.len() as u64,
            chunks: stored.chunks(chunk).map(Digest::of).collect(),
        });
        self.stored.push(stored);
        Ok(())
    }

    /// Adds a second name of the file at `to`.
    pub fn hard_link(&mut self, path: &str, to: &str) -> Result<&mut Self> {
        let to: RelPath = to.parse()?;
        let target = self.index.files.iter().find(|file| file.path == to).context("a link to no file")?;
        let owner = target.owner.clone();
        let only_for = self.only_for.clone();
        self.index.links.push(Link { path: path.parse()?, kind: LinkKind::Hard { to }, owner, only_for });
        Ok(self)
    }

    /// Adds a symbolic link.
    pub fn symbolic_link(&mut self, path: &str, target: &str) -> Result<&mut Self> {
        let kind = LinkKind::Symbolic { target: target.to_owned() };
        let only_for = self.only_for.clone();
        self.index.links.push(Link { path: path.parse()?, kind, owner: Owner::root(), only_for });
        Ok(self)
    }

    /// Adds a unit.
    pub fn unit(&mut self, name: &str, text: &str) -> Result<&mut Self> {
        let path = format!("etc/systemd/system/{name}");
        self.file(&path, Role::Unit, 0o644, text.as_bytes())?;
        self.index.units.push(Unit { name: name.to_owned(), path: path.parse()?, drop_in: None });
        Ok(self)
    }

    /// Writes the package to `path`.
    ///
    /// # Errors
    /// The values contradict each other, or writing failed.
    pub fn write(&self, path: &Path) -> Result<()> {
        let (index, json) = payload::seal(self.index.clone(), None)?;
        let mut out = BufWriter::new(File::create(path)?);
        payload::write_package(&mut out, &self.program, &index, &json, None, self, payload::Watch::nobody())?;
        Ok(())
    }
}

impl Contents for Draft {
    fn document(&self, _position: usize) -> std::io::Result<Vec<u8>> {
        Ok(self.index.package.version.clone().into_bytes())
    }

    fn blob(&self, position: usize) -> std::io::Result<Box<dyn Read + '_>> {
        Ok(Box::new(Cursor::new(&self.stored[position])))
    }
}

/// The smallest file that counts as a program: an ELF header and one empty section header. What installs is the stub
/// with failpoints, given this file as its payload. Versions differ in what no kernel looks at.
fn program(version: u8) -> Vec<u8> {
    let mut bytes = vec![0; 128];
    bytes[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    for (offset, value) in [(16, 2), (18, 62), (20, 1), (40, 64), (52, 64), (54, 56), (58, 64), (60, 1)] {
        bytes[offset] = value;
    }
    bytes[9] = version;
    bytes
}
