//! Whether the models of a package fit into the memory of the machine: a warning, never an obstacle, because what they take
//! is an estimate, and a graphics card may hold a part of them. The estimate is made by the builder.

use payload::index::{Index, Model};
use payload::{printable, size};

use super::Warning;
use super::facts::Host;

/// The model that takes most, with the bytes of memory that it takes.
pub fn largest(index: &Index) -> Option<(&Model, u64)> {
    index.models.iter().filter_map(|model| Some((model, model.memory?))).max_by_key(|(_, bytes)| *bytes)
}

/// One warning for each model that takes more memory than there is.
pub fn warnings(index: &Index, host: &Host) -> Vec<Warning> {
    let Some(available) = host.memory else { return Vec::new() };
    let too_large = |model: &&Model| model.memory.is_some_and(|needed| needed > available);
    index.models.iter().filter(too_large).map(|model| warning(model, available)).collect()
}

fn warning(model: &Model, available: u64) -> Warning {
    Warning {
        what: format!(
            "the model {} takes about {} of memory while it answers, this machine has {}: Ollama may refuse to load it, or be \
             killed",
            printable(&model.name),
            size(model.memory.unwrap_or_default()),
            size(available)
        ),
        hint: "deploy a smaller or more strongly quantised model, or give it a smaller context (num_ctx in params); memory of a \
               graphics card is not counted here"
            .to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(name: &str, memory: Option<u64>) -> Model {
        Model { name: name.to_owned(), manifest: "opt/x/m".parse().unwrap(), memory }
    }

    #[test]
    fn a_warning_names_the_model_and_both_sizes() {
        let said = warning(&model("big:latest", Some(48_000_000_000)), 16_000_000_000).what;
        assert!(said.contains("big:latest takes about 48.0 GB") && said.contains("this machine has 16.0 GB"), "{said}");
    }
}
