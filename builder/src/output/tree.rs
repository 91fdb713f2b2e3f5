//! What a package installs, drawn as a tree of directories.
//! What it states beside that is in `inspect.rs`.

use std::collections::BTreeMap;

use payload::index::{Index, LinkKind};
use payload::{Owner, printable};
use termtree::Tree;

/// A directory of the tree, or what stands in one.
#[derive(Default)]
struct Node {
    children: BTreeMap<String, Node>,
    /// What is said behind the name. A directory that is only on the way to others has nothing.
    said: Option<String>,
    is_directory: bool,
}

/// The lines of the tree. With `digests` those of the files stand behind them.
pub(super) fn lines(index: &Index, digests: bool) -> Vec<String> {
    let mut root = Node { is_directory: true, ..Node::default() };
    for directory in &index.directories {
        let node = root.at(&directory.path.to_string());
        node.said = Some(facts(&directory.owner, Some(&directory.mode.to_string())));
        node.is_directory = true;
    }
    for file in &index.files {
        let size = payload::size(index.blob(file.blob).map_or(0, |blob| blob.size));
        let digest = if digests { format!(", {}", file.blob) } else { String::new() };
        let said = format!("{size}, {}{digest}", facts(&file.owner, Some(&file.mode.to_string())));
        root.at(&file.path.to_string()).said = Some(said);
    }
    for link in &index.links {
        let node = root.at(&link.path.to_string());
        node.said = Some(match &link.kind {
            LinkKind::Hard { to } => format!("= {}", printable(&to.to_string())),
            LinkKind::Symbolic { target } => format!("-> {}", printable(target)),
        });
    }
    if let Some(command) = &index.install.command {
        let size = payload::size(index.build.stub.size);
        root.at(&command.to_string()).said =
            Some(format!("{size}, {}, the installer, for later", facts(&Owner::root(), Some("0755"))));
    }
    root.draw("/").to_string().lines().map(|line| line.trim_end().to_owned()).collect()
}

fn facts(owner: &Owner, mode: Option<&str>) -> String {
    mode.map_or_else(|| owner.to_string(), |mode| format!("{owner}, {mode}"))
}

impl Node {
    /// The node of an absolute path, made when there is none.
    fn at(&mut self, path: &str) -> &mut Self {
        let mut node = self;
        for name in path.split('/').filter(|name| !name.is_empty()) {
            node.is_directory = true;
            node = node.children.entry(name.to_owned()).or_default();
        }
        node
    }

    /// Directories that hold one directory alone, and of which nothing is said, are drawn as one.
    fn draw(&self, name: &str) -> Tree<String> {
        let mut name = name.to_owned();
        let mut node = self;
        while let (None, 1, Some((inner, only))) = (&node.said, node.children.len(), node.children.iter().next())
            && only.is_directory
        {
            name = format!("{}/{inner}", name.trim_end_matches('/'));
            node = only;
        }
        let slash = if node.is_directory && !name.ends_with('/') { "/" } else { "" };
        let said = node.said.as_ref().map_or_else(String::new, |said| format!(" ({said})"));
        let line = format!("{}{slash}{said}", printable(&name));
        Tree::new(line).with_leaves(node.children.iter().map(|(name, child)| child.draw(name)))
    }
}
