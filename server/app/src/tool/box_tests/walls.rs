//! What a tool can see, reach and leave behind.

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;

use super::*;

#[tokio::test]
async fn a_tool_reaches_no_server_of_the_host() {
    let server = TcpListener::bind("127.0.0.1:0").expect("server");
    server.set_nonblocking(true).expect("server");
    let port = server.local_addr().expect("address").port();
    let script = format!("exec 3<>/dev/tcp/127.0.0.1/{port} && echo in; cat /proc/net/dev");
    let outcome = run_script(&script, &[]).await;
    let interfaces = text(&outcome.stdout)
        .lines()
        .skip(2)
        .map(str::to_owned)
        .collect::<Vec<_>>();
    assert!(
        interfaces.iter().all(|line| line.trim().starts_with("lo:")),
        "{interfaces:?}"
    );
    assert_eq!(
        server.accept().expect_err("nobody").kind(),
        std::io::ErrorKind::WouldBlock
    );
}

#[tokio::test]
async fn a_tool_sees_the_system_its_inputs_and_nothing_of_the_host() {
    let home = std::env::var("HOME").expect("home");
    let script = format!(
        "ls -A /; echo --; ls -A /etc; echo --; ls -A {home} /home /mnt /opt /srv /var /run /sys; echo --; \
         cat /etc/shadow /etc/passwd; echo --; env; tr '\\0' '\\n' < /proc/1/environ; echo --; \
         id -u; id -G; hostname; grep CapEff /proc/self/status; ls -d /proc/[0-9]*; pwd; cat file"
    );
    let outcome = run_script(&script, &[]).await;
    let shown = text(&outcome.stdout);
    let sections: Vec<Vec<&str>> = shown
        .split("--\n")
        .map(|section| section.lines().collect::<Vec<_>>())
        .collect();
    let allowed = "bin dev etc lib lib32 lib64 libx32 out proc sbin src tmp usr";
    let allowed: BTreeSet<&str> = allowed.split(' ').collect();
    assert!(
        sections[0].iter().all(|name| allowed.contains(name)),
        "{:?}",
        sections[0]
    );
    let settings = [
        "ld.so.cache",
        "ld.so.conf",
        "ld.so.conf.d",
        "alternatives",
        "ssl",
        "pki",
    ];
    assert!(
        sections[1].iter().all(|name| settings.contains(name)),
        "{:?}",
        sections[1]
    );
    assert_eq!((&sections[2], &sections[3]), (&vec![], &vec![]));
    let set_here = ["PATH", "HOME", "TMPDIR", "LANG", "PWD", "SHLVL", "_", "OLDPWD"];
    for line in &sections[4] {
        let name = line.split('=').next().unwrap_or_default();
        assert!(set_here.contains(&name) || name.starts_with("XDG_"), "{line}");
    }
    let about = &sections[5];
    assert_eq!(about[..3], ["65534", "65534", "worker"]);
    assert!(about[3].ends_with("0000000000000000"), "{}", about[3]);
    let processes = about.iter().filter(|line| line.starts_with("/proc/")).count();
    assert!(processes <= 4, "{about:?}");
    assert_eq!(about[about.len() - 2..], ["/src", "text"]);
}

#[tokio::test]
async fn a_tool_writes_only_where_it_may_and_no_more_than_it_may() {
    let outcome = run_script(
        "for place in / /dev /src /usr /out /etc \"${0%/*}\"; do touch $place/x && echo $place; done\n\
         echo changed > /src/file && echo file\n\
         for i in $(seq 100); do head -c 60000 /dev/zero > /tmp/$i || break; done 2>/dev/null\n\
         du -sk /tmp | cut -f1; df -k /dev/shm | tail -1 | awk '{print $2}'",
        &[],
    )
    .await;
    let shown = text(&outcome.stdout);
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!(lines.len(), 2, "{shown}");
    let kilobytes: u64 = lines[0].parse().expect("size of /tmp");
    assert!((900..=1100).contains(&kilobytes), "{kilobytes}");
    assert_eq!(lines[1], "16384");
}

#[tokio::test]
async fn an_output_cannot_become_a_link_a_pipe_or_another_file() {
    let script = "rm -f /out/report; ln -sf /etc/shadow /out/report; mkfifo /out/report; \
                  mv /tmp/home /out/report; echo secret > /out/other; mkdir /out/report";
    let outcome = run_script(script, &[]).await;
    assert_eq!((outcome.outputs.len(), outcome.verdict), (0, Verdict::Failed));
    let out = outcome.stdout.path.parent().expect("scratch").join("out");
    let left: Vec<_> = fs::read_dir(&out).expect("out").flatten().collect();
    assert_eq!(left.len(), 1);
    let metadata = left[0].path().symlink_metadata().expect("report");
    assert!(metadata.is_file() && metadata.len() == 0);
}

#[tokio::test]
async fn arguments_reach_the_tool_as_they_are() {
    let script = Script::new("printf '%s\\n' \"$@\"", &[]).await;
    let odd = "$(id); `id` 'a' \"b\" * ~ ${HOME";
    let refused = script.try_run(&["--text", odd], &[]).await;
    assert!(matches!(refused, Err(ToolError::Arguments { .. })));
    let odd = odd.replace("${", "$");
    let outcome = script
        .try_run(&["--text", &odd, "--file", "${out.a}"], &["a"])
        .await
        .expect("run");
    assert_eq!(text(&outcome.stdout), format!("--text\n{odd}\n--file\n/out/a\n"));
    assert_eq!(outcome.argv[1..], ["--text", &odd, "--file", "/out/a"]);
}

#[tokio::test]
async fn outputs_are_named_by_plain_words_of_their_own() {
    let script = Script::new("exit 0", &[]).await;
    for names in [
        &["../x"][..],
        &["a", "a"],
        &[""],
        &["-x"],
        &["a/b"],
        &["A"],
        &["a"; 17],
    ] {
        let refused = script.try_run(&[], names).await;
        assert!(matches!(refused, Err(ToolError::Outputs { .. })), "{names:?}");
    }
}

#[tokio::test]
async fn a_box_that_cannot_be_made_is_not_a_tool_that_failed() {
    let script = Script::new("exit 0", &[]).await;
    fs::remove_dir_all(script.folder.path().join("target")).expect("target");
    let refused = script.try_run(&[], &["report"]).await.expect_err("no target");
    assert!(
        matches!(&refused, ToolError::Box { complaint, .. } if complaint.contains("target")),
        "{refused}"
    );
}

#[tokio::test]
async fn a_tool_that_is_not_here_is_missing_with_a_reason_that_says_what_to_do() {
    let script = Script::new("exit 0", &[]).await;
    let mut catalogue = Catalogue {
        tools: vec![script.tool.entry.clone(), script.tool.entry.clone()],
    };
    catalogue.tools[0].binary = "tamiz-no-such-program".to_owned();
    catalogue.tools[1].version.after = "no such word".to_owned();
    let bin = script.folder.path().join("install/bin");
    let inventory = catalogue
        .probe(&ToolFolders::new(Some(bin.as_os_str()), &[], None))
        .await;
    assert!(inventory.available.is_empty() && inventory.scan_types().is_empty());
    let reasons: Vec<&str> = inventory
        .missing
        .iter()
        .map(|tool| tool.reason.as_str())
        .collect();
    assert_eq!(reasons[0], "no program tamiz-no-such-program was found; write it");
    assert!(
        reasons[1].contains("holds no version; write it"),
        "{}",
        reasons[1]
    );
}

#[tokio::test]
async fn a_tool_sees_our_settings_in_place_of_the_uploads_wherever_they_lie() {
    let mut script = Script::new("cat .scanner sub/.scanner sub/scanner", &[]).await;
    script.tool.entry.masks = [(".scanner".to_owned(), "ours\n".to_owned())].into();
    let tree = script.folder.path().join("target");
    fs::create_dir(tree.join("sub")).expect("folder");
    for path in [".scanner", "sub/.scanner", "sub/scanner"] {
        fs::write(tree.join(path), "theirs\n").expect("file");
    }
    let outcome = script.run().await;
    assert_eq!(text(&outcome.stdout), "ours\nours\ntheirs\n");
    // more than can be masked are no reason to show any
    for number in 0..1000 {
        let folder = tree.join(number.to_string());
        fs::create_dir(&folder).expect("folder");
        fs::write(folder.join(".scanner"), "theirs\n").expect("file");
    }
    let refused = script.try_run(&[], &["report"]).await;
    assert!(
        matches!(refused, Err(ToolError::TooManySettings { .. })),
        "{refused:?}"
    );
}
