//! Digests as words that two persons can compare aloud: one word for each byte, of a list of 256.
//! What is compared, and by whom, is in `docs/trust.md`.

use crate::Digest;

/// How many bytes of a digest are said. To find another key or package with the same 16 words takes 2^128 tries.
const SAID: usize = 16;

/// No two begin with the same four letters, or sound alike.
const WORDS: &str = "able acid acre aged aims alto amber angle ankle apple april arch arena army arrow atlas attic audio aunt \
    autumn axis bacon badge baker bamboo banjo barn basil beach bench berry bison blade blimp boat bonus boots \
    bottle brick bridge bronze brush bucket cabin cactus camel candle canoe carpet castle cedar cello chair chalk \
    cherry chess circus clay clock cloud cobra cocoa coffee comet copper coral cotton cousin crane cricket crown \
    daisy dance decade delta denim desert diesel dinner dolphin donkey dragon drum eagle easel echo elbow elm \
    ember emerald engine fabric falcon feather fence ferry fiddle finger flag flute forest fossil fox frog galaxy \
    garlic gate ghost giant ginger glass glove goat gold gravel guitar hammer harbor hazel helmet hermit hockey \
    honey hotel husky igloo index ink iris iron island ivory jacket jaguar jelly jigsaw jungle kayak kettle kitten \
    koala ladder lagoon lantern lemon lilac lizard lobby lunar magnet mango maple marble meadow melon mirror moose \
    mosaic muffin museum napkin nectar needle nickel noodle nylon oasis ocean olive onion opera orbit otter oxygen \
    oyster paddle panda parrot pebble pencil pepper piano pigeon pilot planet poem pony prism puzzle pyramid \
    quartz quilt rabbit radar raven ribbon river robin rocket ruby saddle salmon sandal saturn scarf school shadow \
    silver sketch sled snow socks spider spoon square stamp statue sugar summit swan tango teapot temple thumb \
    tiger timber toast tomato topaz tower trumpet tulip tunnel turtle umbrella uncle urban valley vanilla velvet \
    violin volcano wagon walnut water whale willow window winter wizard wolf yacht yellow yogurt zebra zinc";

/// The first half of a digest, in four groups of four words.
pub fn words_of_digest(digest: Digest) -> String {
    let words: Vec<&str> = WORDS.split(' ').collect();
    let said: Vec<&str> =
        digest.bytes().iter().take(SAID).filter_map(|byte| words.get(usize::from(*byte)).copied()).collect();
    said.chunks(4).map(|group| group.join("-")).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_byte_has_a_word_that_four_letters_tell_from_all_others() {
        let words: Vec<&str> = WORDS.split(' ').collect();
        assert_eq!(words.len(), 256);
        assert!(words.iter().all(|word| word.bytes().all(|letter| letter.is_ascii_lowercase())));
        let beginnings: BTreeSet<String> = words.iter().map(|word| word.chars().take(4).collect()).collect();
        assert_eq!(beginnings.len(), 256);
    }

    #[test]
    fn the_words_of_a_digest_never_change() {
        let said = words_of_digest(Digest::of(b""));
        assert_eq!(
            said,
            "tomato-panda-river-cotton marble-yellow-beach-axis melon-yacht-water-saddle meadow-glove-poem-boots"
        );
        assert_ne!(said, words_of_digest(Digest::of(b"x")));
    }
}
