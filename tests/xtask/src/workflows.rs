//! The GitHub workflows: read by zizmor's models of them, and held to a few habits, since they cannot
//! be run here. What they do is unproven; `.github/workflows/workflows.yml` has actionlint look at them.

#[cfg(test)]
mod tests {
    use crate::{Arguments, layout::Layout};
    use clap::CommandFactory;
    use github_actions_models::{
        common::{Permission, Permissions, Uses},
        dependabot::v2::Dependabot,
        workflow::{
            Job, Workflow,
            job::{NormalJob, Step},
        },
    };
    use std::fs;

    /// Name and text of each.
    fn workflows() -> Vec<(String, String)> {
        let folder = Layout::find().unwrap().root().join(".github/workflows");
        fs::read_dir(folder)
            .unwrap()
            .map(|entry| {
                let path = entry.unwrap().path();
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                (name, fs::read_to_string(path).unwrap())
            })
            .collect()
    }

    fn faults(text: &str) -> Vec<String> {
        let workflow: Workflow = match yaml_serde::from_str(text) {
            Ok(workflow) => workflow,
            Err(error) => return vec![error.to_string()],
        };
        let mut faults = Vec::new();
        if !text.starts_with("# ") || !text.contains("it has not been run") {
            faults.push("its head does not say what it is and that it was not run".to_owned());
        }
        let read_only = matches!(&workflow.permissions, Permissions::Explicit(map)
            if map.iter().all(|(name, permission)|
                name == "contents" && *permission == Permission::Read));
        if !read_only {
            faults.push("it may do more than read".to_owned());
        }
        if workflow.concurrency.is_none() {
            faults.push("nothing ends its older runs".to_owned());
        }
        for (name, job) in &workflow.jobs {
            match job {
                Job::NormalJob(job) => faults.extend(job_faults(job)),
                Job::ReusableWorkflowCallJob(_) => faults.push(format!("{name} is elsewhere")),
            }
        }
        faults
    }

    fn job_faults(job: &NormalJob) -> Vec<String> {
        let mut faults = Vec::new();
        if job.timeout_minutes.is_none() {
            faults.push("a job has no time limit".to_owned());
        }
        for step in &job.steps {
            match step {
                Step::Uses(step) => faults.extend(uses_fault(&step.uses)),
                Step::Run(step) => faults.extend(verb_faults(&step.run)),
                other => faults.push(format!("not looked at: {other:?}")),
            }
        }
        faults
    }

    /// An action is that of a version.
    fn uses_fault(uses: &Uses) -> Option<String> {
        let version = uses.raw().rsplit_once(['@', ':'])?.1;
        let moves = ["main", "master", "latest"].contains(&version);
        moves.then(|| format!("{} is another every day", uses.raw()))
    }

    /// `cargo xtask` has the verbs that are run.
    fn verb_faults(run: &str) -> Vec<String> {
        let command = Arguments::command();
        run.split("cargo xtask ")
            .skip(1)
            .filter_map(|rest| rest.split_whitespace().next())
            .filter(|verb| command.find_subcommand(verb).is_none())
            .map(|verb| format!("there is no cargo xtask {verb}"))
            .collect()
    }

    #[test]
    fn the_workflows_keep_to_their_habits() {
        let workflows = workflows();
        assert_eq!(workflows.len(), 4);
        for (name, text) in workflows {
            assert_eq!(faults(&text), [""; 0], "{name}");
        }
    }

    #[test]
    fn other_habits_are_seen() {
        let workflows = workflows();
        let (_, sound) = workflows
            .iter()
            .find(|(name, _)| name == "linux.yml")
            .unwrap();
        for (from, to) in [
            ("runs-on: ", "runs-at: "),
            ("jobs:", "jobs"),
            ("has not been run", "has been run"),
            ("# Everything", "Everything:"),
            ("contents: read", "contents: write"),
            ("contents: read", "packages: read"),
            ("permissions:\n  contents: read\n", ""),
            ("concurrency:", "concurency:"),
            ("timeout-minutes", "timeout-minuts"),
            ("checkout@v4", "checkout@main"),
            ("run: cargo xtask test", "run: cargo xtask tests"),
        ] {
            let broken = sound.replacen(from, to, 1);
            assert_ne!(broken, *sound, "{from} is not there");
            assert_ne!(faults(&broken), [""; 0], "{to} is let pass");
        }
    }

    #[test]
    fn dependabot_finds_what_it_looks_after() {
        let root = Layout::find().unwrap().root().to_path_buf();
        let text = fs::read_to_string(root.join(".github/dependabot.yml")).unwrap();
        let dependabot: Dependabot = yaml_serde::from_str(&text).unwrap();
        assert_eq!(dependabot.updates.len(), 2);
        for folder in ["", "tests/lab/wdk"] {
            assert!(text.contains(&format!("/{folder}")));
            assert!(root.join(folder).join("Cargo.lock").is_file());
        }
    }
}
