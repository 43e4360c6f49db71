//! From what is there to a token for the upstream: in one step (RFC 8693), or in two, with an identity provider's assertion between them.

use sluice_sdk::kv::Bucket;
use sluice_sdk::prelude::*;
use sluice_sdk::secrets::Secret;

use crate::assertion;
use crate::config::{Config, Mode, Named, OperatorsToken, Subject, Token, TokenType, Upstream};
use crate::outbound::{self, Departure, Stop};
use crate::problem::{self, Blame, Problem};
use crate::subject::{Person, Who};
use crate::token::{self, EXCHANGE, Form, ID_JAG, Issued, JWT_BEARER, Refused};

/// A token for this request.
pub fn token(
    config: &Config,
    bucket: &Bucket,
    departure: &Departure<'_>,
    upstream: &Upstream,
    who: &Who,
    x: &Exchange,
) -> Result<Issued, Stop> {
    let steps = Steps { config, departure, upstream, x };
    match &upstream.subject {
        Subject::Token(token) => {
            let form = steps.show(Form::new(EXCHANGE), "subject", token)?;
            steps.walk(form).map_err(|refused| match (refused, token) {
                // Nobody but the operator can exchange what is configured.
                (Refused::Shown(problem), Token::Secret(_)) => Problem { blame: Blame::Operator, ..problem }.into(),
                (refused, _) => refused.into_problem().into(),
            })
        }
        Subject::Person(settings) => {
            let person = Person::new(config, bucket, departure.upstream, upstream.idp(), who, settings.signed_in, x);
            let kind = person.kind();
            let shown = person.token()?;
            let before = person.mark(&shown);
            match steps.walk(subject(shown, kind)) {
                Ok(issued) => Ok(issued),
                Err(Refused::Problem(problem)) => Err(problem.into()),
                Err(Refused::Shown(problem)) => {
                    // It may be over: there is one further try, with a newer one.
                    let newer = person.newer(Some(&before), Some(problem))?;
                    steps.walk(subject(newer, kind)).or_else(|refused| match refused {
                        Refused::Problem(problem) => Err(problem.into()),
                        Refused::Shown(problem) => person.ask(Some(problem)),
                    })
                }
            }
        }
    }
}

fn subject(token: Secret, kind: TokenType) -> Form {
    Form::new(EXCHANGE).with("subject_token_type", kind.urn()).with_secret("subject_token", token)
}

struct Steps<'a> {
    config: &'a Config,
    departure: &'a Departure<'a>,
    upstream: &'a Upstream,
    x: &'a Exchange,
}

impl Steps<'_> {
    /// Who is asked for an exchange.
    fn exchanger(&self) -> Named<'_> {
        self.config.of(match self.upstream.mode {
            Mode::Exchange => &self.upstream.server,
            Mode::IdJag => self.upstream.idp(),
        })
    }

    /// A form that shows this token, as its subject or as its actor.
    fn show(&self, form: Form, role: &str, token: &Token) -> Result<Form, Problem> {
        let (member, kind) = (alloc::format!("{role}_token"), alloc::format!("{role}_token_type"));
        match token {
            Token::Secret(OperatorsToken { secret, kind: what }) => {
                let secret = Secret::open(secret).map_err(problem::secret)?;
                Ok(form.with(&kind, what.urn()).with_secret(&member, secret))
            }
            Token::Signed(assertion) => {
                let text = match role {
                    "subject" => assertion::of_caller(assertion, self.exchanger(), self.x)?,
                    _ => assertion::of_this_host(assertion, self.exchanger())?,
                };
                Ok(form.with(&kind, TokenType::Jwt.urn()).with(&member, &text))
            }
        }
    }

    /// All the way, from a form with its subject.
    fn walk(&self, form: Form) -> Result<Issued, Refused> {
        let upstream = self.upstream;
        let form = match &upstream.actor {
            Some(actor) => self.show(form, "actor", actor)?,
            None => form,
        };
        let resource = outbound::resource(upstream, self.departure.url);
        let form = resource.iter().fold(form, |form, resource| form.with("resource", resource));
        let scopes = upstream.scopes_of(self.departure.tool);
        let form = if scopes.is_empty() { form } else { form.with("scope", &scopes.join(" ")) };
        let server = self.config.of(&upstream.server);
        match upstream.mode {
            Mode::Exchange => {
                let form = form.with("requested_token_type", TokenType::AccessToken.urn());
                let form = upstream.audience.iter().fold(form, |form, audience| form.with("audience", audience));
                Ok(token::ask(self.x, server, form)?.into_access_token(server, true, &scopes)?)
            }
            Mode::IdJag => {
                let idp = self.exchanger();
                let form = form.with("requested_token_type", ID_JAG).with("audience", &server.issuer);
                let assertion = token::ask(self.x, idp, form)?.into_assertion(idp)?;
                let form = Form::new(JWT_BEARER).with_secret("assertion", assertion);
                // Whatever it does not like about the assertion, no other subject token would change it.
                let answer = token::ask(self.x, server, form).map_err(|refused| Refused::Problem(refused.into_problem()))?;
                Ok(answer.into_access_token(server, false, &scopes)?)
            }
        }
    }
}
