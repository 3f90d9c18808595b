//! TCP and UDP services: what is said to them ([`dialogue`], [`service`]), whom it is said to ([`target`]), and what is
//! made of what happened. Pure but for [`run`].

pub mod dialogue;
pub mod service;
