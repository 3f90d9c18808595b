//! takeover: small commands with which one machine takes over from another.
//!
//! | module | holds |
//! | --- | --- |
//! | [`cli`] | what every command shares: arguments, events, output, exit statuses, signals |
//! | [`args`] | the command lines themselves: man pages and completions are made from them |
//! | [`clock`] | boot time for deadlines, the wall for print |
//! | [`alert`] | who is told of a failure, and when: the rules of mon |
//! | [`probe`] | judging: verdicts, fall and rise, and what each kind of probe makes of what it saw |
//! | [`net`] | the link: interfaces and addresses over netlink, ARP, neighbour discovery, packet sockets |
//! | [`vip`] | the service address: who has it, taking it, holding it, announcing it |
//! | [`config`] | the files of a cluster: ha.cf, authkeys, and whether they may be trusted |
//! | [`resource`] | what moves with a group: how agents are found, called and understood, and in which order |
//! | [`lvs`] | the kernel's load balancer: what it has, what it is to have, and the way from one to the other |
//! | [`decide`] | the brain of a node: what to do about what happened |
//! | [`heartbeat`] | saying and hearing "I am alive": messages, media, who is up, late, dead |
//! | [`node`] | the edge of the brain: inputs, journal, status |
//! | [`storage`] | shared storage: who may use it |
//!
//! Codecs and deciders are pure: they take bytes, events and a time, and return values. libcurl is not reachable from
//! here; see the `transfer` crate.

pub mod alert;
pub mod args;
pub mod cli;
pub mod clock;
pub mod config;
pub mod decide;
#[cfg(test)]
mod dice;
pub mod heartbeat;
pub mod lvs;
pub mod net;
pub mod node;
pub mod probe;
pub mod resource;
pub mod storage;
pub mod vip;
