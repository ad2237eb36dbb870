"""Whether rows keep the contract and what else is odd about them: checks, a report, and the page that shows it."""
