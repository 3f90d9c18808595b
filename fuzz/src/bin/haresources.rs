//! haresources files with anything in them.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use takeover::config::haresources;
use takeover::resource::spec::Resource;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let parsed = haresources::parse(Path::new("haresources"), text);
    let lines = text.split('\n').count() as u32;
    assert!(parsed.problems.iter().all(|p| p.line.is_some_and(|l| (1..=lines).contains(&l))));
    for resource in parsed.content.iter().flat_map(|g| &g.resources) {
        // An agent becomes the name of a file; what is handed on as text is the same resource again.
        assert!(!resource.agent.is_empty() && !resource.agent.contains('/') && !resource.agent.starts_with('.'));
        assert_eq!(resource.spec.parse::<Resource>().as_ref(), Ok(resource));
    }
    if let Ok(good) = parsed.usable() {
        assert!(good.content.iter().all(|g| !g.nodes.is_empty() && g.id == g.resources[0].spec));
    }
});
