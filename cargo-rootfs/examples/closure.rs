//! throwaway
use cargo_rootfs::*;
use std::io::Write;
fn main() {
    let mut s = sysroot::Sysroot::open(std::path::Path::new(&std::env::args().nth(1).unwrap())).unwrap();
    let json = std::env::args().nth(2).unwrap() == "json";
    let mut r = resolve::Resolver::new(vec![], None);
    let mut o = std::io::BufWriter::new(std::io::stdout().lock());
    for f in std::env::args().skip(3) {
        let c = r.closure(&mut s, &RootfsPath::parse(&f).unwrap());
        if json {
            report::closure_json(&mut o, &f, &c).unwrap()
        } else {
            report::tree(&mut o, &f, &c, report::Show::Once).unwrap()
        }
    }
    o.flush().unwrap();
}
