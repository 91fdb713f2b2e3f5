//! What those who approve, carry and audit a package are told about it: bill of materials, licences, inventory.
//! What is in the package is decided elsewhere; nothing here changes it.

mod crates;
pub(crate) mod inventory;
pub(crate) mod licenses;
pub(crate) mod sbom;
