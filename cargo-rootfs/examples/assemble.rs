//! throwaway
use cargo_rootfs::*;
use layout::*;
fn main() {
    let a: Vec<String> = std::env::args().skip(1).collect();
    let content = Content {
        tools: a[3].split(',').filter(|s| !s.is_empty()).map(String::from).collect(),
        libraries: a
            .get(4)
            .into_iter()
            .flat_map(|s| s.split(','))
            .filter(|s| !s.is_empty())
            .map(String::from)
            .collect(),
        includes: vec![],
        template: a[2].clone(),
        library_path: vec![],
        install_dir: RootfsPath::parse("/usr/local/bin").unwrap(),
    };
    let t = target::Target::parse(&a[1]).unwrap();
    match assemble(a[0].as_str().into(), &t, &content, &Artifacts::default()) {
        Ok(x) => {
            print!("{}", x.rootfs.dump());
            for w in x.warnings {
                eprintln!("warning: {}", w.message)
            }
        }
        Err(e) => println!("{e}"),
    }
}
