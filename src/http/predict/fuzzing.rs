//! `POST /predict` without a connection, for the fuzz target `request`.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use super::{Predict, Violations, parsed};
use crate::bundle::Bundle;
use crate::daemon::desk::Served;
use crate::daemon::settings::HttpTerms;
use crate::domain::ZoneSpec;

/// Answers bodies, with the models of a bundle.
pub struct Answering {
    served: Arc<Served>,
    predict: Predict,
}

impl Answering {
    /// Serves a bundle.
    #[must_use]
    pub fn new(bundle: &Bundle) -> Self {
        let terms = HttpTerms {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            token: None,
            hosts: Vec::new(),
            max_body: usize::MAX,
            timeout: Duration::MAX,
            max_concurrent: 1,
        };
        let served = Arc::new(Served::new(terms, "fuzz".to_owned(), bundle, ZoneSpec::utc()));
        Self { predict: Predict::new(&served), served }
    }

    /// The answer to a body, or what it is told instead.
    ///
    /// # Errors
    /// The problem, as text.
    pub fn answer(&self, text: &str) -> Result<Vec<u8>, String> {
        let mut out = Vec::new();
        let answered = parsed(text, |text| {
            out.clear();
            let mut violations = Violations::default();
            self.predict.one(&self.served, text, None, &mut violations, &mut out)?;
            violations.into_result()
        });
        answered.map(|()| out).map_err(|problem| format!("{problem:?}"))
    }
}
