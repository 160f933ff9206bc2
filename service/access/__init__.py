"""Who may do what: keys of programs, sessions of people, and the door that asks for them."""
