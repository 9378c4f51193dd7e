//! Fewer faults that show the same.

use std::collections::BTreeSet;

/// A set of which no member can be left out, as long as `shows` holds of it.
pub(crate) fn fewest(
    mut places: BTreeSet<usize>,
    shows: impl Fn(&BTreeSet<usize>) -> bool,
) -> BTreeSet<usize> {
    loop {
        let fewer = places.iter().find_map(|place| {
            let mut fewer = places.clone();
            fewer.remove(place);
            shows(&fewer).then_some(fewer)
        });
        match fewer {
            Some(fewer) => places = fewer,
            None => return places,
        }
    }
}
