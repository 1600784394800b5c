//! Stamps the INF, as the WDK's stampinf does on Windows.

/// Fills the template's variables in for x64.
pub fn stamp(template: &str) -> String {
    template.replace("$ARCH$", "amd64")
}

#[cfg(test)]
mod tests {
    #[test]
    fn no_variable_of_the_template_is_left() {
        let inf = super::stamp(include_str!("../../../inf/tlsgate.inx"));
        assert!(!inf.contains("$ARCH$"), "{inf}");
        assert!(inf.contains("[DefaultInstall.NTamd64]"));
    }
}
