//! Opening sockets for libcurl: it forgets which addresses it tried and with which errno a socket was refused.

use std::cell::RefCell;
use std::ffi::{c_int, c_void};
use std::mem::ManuallyDrop;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpStream};
use std::os::fd::FromRawFd;

/// How many addresses of one name are remembered.
const REMEMBERED: usize = 16;

/// What was dialled.
#[derive(Debug, Default)]
pub(crate) struct Dial {
    /// The addresses, in order.
    pub tried: Vec<IpAddr>,
    /// The sockets for them. libcurl closes them when it likes, and the numbers may then be somebody else's.
    sockets: Vec<c_int>,
    /// The last errno with which socket(2) failed, else 0.
    pub refused: c_int,
}

impl Dial {
    /// Whether a connection to one of the addresses stands: libcurl tells only once the TLS handshake is over as well.
    pub fn connected(&self) -> bool {
        self.sockets.iter().any(|fd| {
            // SAFETY: it is asked for its peer and not closed. A number that is closed by now gives an error, and one
            // that is used again has to have the same peer to count.
            let socket = ManuallyDrop::new(unsafe { TcpStream::from_raw_fd(*fd) });
            socket.peer_addr().is_ok_and(|peer| self.tried.contains(&peer.ip()))
        })
    }
}

/// Makes a handle open its sockets here.
///
/// # Safety
/// `handle` is a valid easy handle, and `dial` stays valid as long as it.
pub(crate) unsafe fn install(handle: *mut curl_sys::CURL, dial: *const RefCell<Dial>) {
    let open: curl_sys::curl_opensocket_callback = open;
    // SAFETY: the caller vouches for both pointers; the options take a function of this type and a pointer.
    unsafe {
        curl_sys::curl_easy_setopt(handle, curl_sys::CURLOPT_OPENSOCKETFUNCTION, open);
        curl_sys::curl_easy_setopt(handle, curl_sys::CURLOPT_OPENSOCKETDATA, dial.cast::<c_void>());
    }
}

extern "C" fn open(
    data: *mut c_void,
    _purpose: curl_sys::curlsocktype,
    to: *mut curl_sys::curl_sockaddr,
) -> curl_sys::curl_socket_t {
    // SAFETY: `install` set the data pointer to a cell that lives as long as the handle.
    let dial = unsafe { &*data.cast::<RefCell<Dial>>() };
    // SAFETY: libcurl hands in an address for the time of this call; the descriptor belongs to it from here on.
    let fd = unsafe { libc::socket((*to).family, (*to).socktype | libc::SOCK_CLOEXEC, (*to).protocol) };
    // libcurl reads errno after this call, so nothing that may change it comes before.
    let errno = std::io::Error::last_os_error().raw_os_error().unwrap_or(0);
    if let Ok(mut dial) = dial.try_borrow_mut() {
        if fd < 0 {
            dial.refused = errno;
        } else if dial.sockets.len() < REMEMBERED {
            dial.sockets.push(fd);
        }
        if dial.tried.len() < REMEMBERED {
            // SAFETY: as above.
            dial.tried.extend(unsafe { address(to) });
        }
    }
    fd
}

/// Reads an address through the pointer itself: it reaches beyond the field that a reference would be bounded by.
///
/// # Safety
/// `to` points to an address as libcurl hands it to the callback: `addrlen` bytes of it lie at `addr`.
unsafe fn address(to: *const curl_sys::curl_sockaddr) -> Option<IpAddr> {
    // SAFETY: the caller vouches for the pointer.
    let (family, length, start) = unsafe { ((*to).family, (*to).addrlen as usize, &raw const (*to).addr) };
    match family {
        libc::AF_INET if length >= size_of::<libc::sockaddr_in>() => {
            // SAFETY: libcurl says that an address of this family and length lies there.
            let v4 = unsafe { start.cast::<libc::sockaddr_in>().read_unaligned() };
            Some(Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr)).into())
        }
        libc::AF_INET6 if length >= size_of::<libc::sockaddr_in6>() => {
            // SAFETY: as above; the storage behind the field has room for every family.
            let v6 = unsafe { start.cast::<libc::sockaddr_in6>().read_unaligned() };
            Some(Ipv6Addr::from(v6.sin6_addr.s6_addr).into())
        }
        _ => None,
    }
}
