//! The events of the shipped scripts, printed through `ha-event`.

use super::{EventDoc, FieldDoc};

pub(super) const FIELDS: &[FieldDoc] = &[];

pub(super) const EVENTS: &[EventDoc] = &[];
