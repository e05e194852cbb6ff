//! What stands behind the Console view: the JSON buffer, the schema form, the answer. Pure state, no drawing.

pub mod form;
pub mod json;
pub mod methods;
pub mod schema;
pub mod tree;
