//! The link: interfaces and addresses over netlink, ARP and neighbour discovery, and the sockets that carry them.
//!
//! [`arp`] and [`ndp`] are codecs; [`netlink`], [`link`], [`address`] and [`frames`] talk to the kernel.

pub mod address;
pub mod arp;
pub mod claim;
pub mod drops;
pub mod frames;
pub mod link;
pub mod mac;
pub mod ndp;
pub mod netlink;

use std::io;

use crate::cli::exit::Fault;

/// What can go wrong between this program and the link.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// There is no interface of that name.
    #[error("no interface '{0}' on this machine")]
    NoInterface(String),
    /// The interface is administratively down.
    #[error("interface {0} is down")]
    Down(String),
    /// The interface has no carrier: nothing can be heard, and silence means nothing.
    #[error("interface {0} has no carrier")]
    NoCarrier(String),
    /// What was heard on the interface did not all find room: an answer may have been among what was lost.
    #[error("frames heard on {0} were lost before they were read")]
    FramesLost(String),
    /// The interface has no hardware address that ARP or neighbour discovery could use.
    #[error("interface {0} does not speak ARP or neighbour discovery")]
    NoLinkLayer(String),
    /// IPv6 is off, or has no link-local address yet.
    #[error("interface {0} has no IPv6")]
    NoIpv6(String),
    /// An address would be taken along when another of its subnet expires or is removed.
    #[error("cannot set promote_secondaries on {dev}: {error}")]
    PromoteSecondaries {
        /// The interface.
        dev: String,
        /// What the kernel said.
        error: io::Error,
    },
    /// The kernel refused.
    #[error("{what}: {error}")]
    Kernel {
        /// What was tried.
        what: String,
        /// What the kernel said.
        error: io::Error,
    },
    /// The kernel's answer was not understood.
    #[error("the kernel's answer was not understood: {0}")]
    Answer(String),
}

impl NetError {
    pub(crate) fn kernel(what: impl Into<String>, error: impl Into<io::Error>) -> Self {
        Self::Kernel { what: what.into(), error: error.into() }
    }

    /// Whether the kernel said that this user may not.
    pub fn not_permitted(&self) -> bool {
        matches!(self, Self::Kernel { error, .. } | Self::PromoteSecondaries { error, .. }
            if matches!(error.raw_os_error(), Some(nix::libc::EPERM | nix::libc::EACCES)))
    }

    /// Which exit status.
    pub fn fault(&self) -> Fault {
        match self {
            _ if self.not_permitted() => Fault::Permission,
            Self::Answer(_) => Fault::Internal,
            Self::FramesLost(_) => Fault::Undetermined,
            _ => Fault::Unavailable,
        }
    }

    /// A stable word.
    pub fn code(&self) -> &'static str {
        match self {
            _ if self.not_permitted() => "permission-denied",
            Self::NoInterface(_) => "no-such-interface",
            Self::Down(_) => "interface-down",
            Self::NoCarrier(_) => "no-carrier",
            Self::FramesLost(_) => "frames-lost",
            Self::NoLinkLayer(_) => "no-link-layer",
            Self::NoIpv6(_) => "no-ipv6",
            Self::PromoteSecondaries { .. } => "promote-secondaries",
            Self::Kernel { .. } | Self::Answer(_) => "kernel",
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::PromoteSecondaries { dev, .. } => format!(
                "without it an expiring address takes the others of its subnet along; set it once as root: \
                 sysctl net.ipv4.conf.{dev}.promote_secondaries=1"
            ),
            _ if self.not_permitted() => {
                "run it as root, or with the capabilities cap_net_admin and cap_net_raw".to_owned()
            }
            Self::NoInterface(_) => "ip link shows the interfaces".to_owned(),
            Self::Down(dev) => format!("ip link set {dev} up"),
            Self::NoCarrier(_) => "check the cable or the switch port; nothing was judged or changed".to_owned(),
            Self::FramesLost(_) => "the link carries more broadcasts than were read; ask again".to_owned(),
            Self::NoLinkLayer(_) => "name an Ethernet-like interface".to_owned(),
            Self::NoIpv6(dev) => format!("sysctl net.ipv6.conf.{dev}.disable_ipv6=0, and a moment for its address"),
            Self::Kernel { .. } | Self::Answer(_) => return None,
        };
        Some(hint)
    }
}
