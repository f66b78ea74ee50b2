//! Rebuilds the crate when a file of the viewer page comes or goes.

fn main() {
    for path in ["index.html", "js", "css", "vendor", "locales", "img"] {
        println!("cargo::rerun-if-changed=../viewer/{path}");
    }
}
