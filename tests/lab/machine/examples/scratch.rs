//! x
use tlsgate_lab_machine::*;
fn main() {
    let layout = Layout {
        prefix: "/tmp/client-wine/p2/prefix".into(),
        modules: "/tmp/client-wine/mods".into(),
        package: "/tmp/client-wine/pkg".into(),
    };
    let t = std::time::Instant::now();
    let m = Machine::power_on(&layout, &mut |s| println!("{:?} {s}", t.elapsed())).unwrap();
    println!("{:?} on", t.elapsed());
    println!(
        "{:?}",
        m.run("cmd", &["/c", "echo hello"])
            .unwrap()
            .success()
            .unwrap()
    );
    println!("{:?} ran", t.elapsed());
    println!("{:?}", m.run(r"C:\lab\tlsgate.exe", &["doctor"]).unwrap());
    let new = m
        .run(r"C:\lab\tlsgate.exe", &["cert", "new", "--exportable"])
        .unwrap()
        .success()
        .unwrap();
    println!("{new:?} {:?}", t.elapsed());
    println!(
        "{:?}",
        m.run(
            r"C:\lab\tlsgate.exe",
            &["install", "--driver", r"C:\lab\hello.sys"]
        )
        .unwrap()
    );
    println!("{:?}", m.run(r"C:\lab\tlsgate.exe", &["doctor"]).unwrap());
    println!(
        "{:?}",
        m.run(r"C:\lab\tlsgate.exe", &["uninstall"]).unwrap()
    );
    println!(
        "{:?}",
        m.run(r"C:\lab\tlsgate.exe", &["uninstall"]).unwrap()
    );
    println!("console <{}>", m.console().unwrap());
    m.check().unwrap();
    std::fs::write(m.lab().join("stop.log"), "STOP test-rule: detail\n").unwrap();
    println!("{:?} {:?}", t.elapsed(), m.power_off().unwrap_err());
}
