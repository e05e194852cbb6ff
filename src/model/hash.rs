//! Maps on the way of a call: a call looks into a dozen, and the hasher of the standard library would take a sixth of
//! what the router does for it. Theirs is seeded at random for each process, as keys may be a caller's; and they are
//! asked by the parts of a key, without making one.

pub use hashbrown::{DefaultHashBuilder as RandomState, Equivalent, HashMap as Map};
