//! Where a credential may go, and what must not come back: allowed hosts ([`allow_list`]), addresses that are not on the
//! public internet ([`special_addresses`]) and secrets in texts ([`redaction`]). Pure.

pub mod allow_list;
pub mod redaction;
pub mod special_addresses;
