"""Operations that need several API calls: reading whole lists, following sessions, and waiting for an end."""
