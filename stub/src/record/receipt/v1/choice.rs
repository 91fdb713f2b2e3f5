//! Version 1 of what a receipt says of optional components.
//! What it means is in `record/choice.rs`.

use serde::{Deserialize, Serialize};

use crate::record::choice::{Choice, Rule};

#[derive(Serialize, Deserialize)]
pub(super) struct Wire {
    rule: WireRule,
    names: Vec<String>,
    included: Vec<String>,
    left_out: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum WireRule {
    All,
    Include,
    Exclude,
}

pub(super) fn read(wire: Wire) -> Choice {
    let rule = match wire.rule {
        WireRule::All => Rule::All,
        WireRule::Include => Rule::Include(wire.names),
        WireRule::Exclude => Rule::Exclude(wire.names),
    };
    Choice { rule, included: wire.included, left_out: wire.left_out }
}

pub(super) fn write(choice: &Choice) -> Option<Wire> {
    let rule = match choice.rule {
        Rule::All => WireRule::All,
        Rule::Include(_) => WireRule::Include,
        Rule::Exclude(_) => WireRule::Exclude,
    };
    let names = choice.rule.names().to_vec();
    let (included, left_out) = (choice.included.clone(), choice.left_out.clone());
    (!choice.is_empty()).then_some(Wire { rule, names, included, left_out })
}
