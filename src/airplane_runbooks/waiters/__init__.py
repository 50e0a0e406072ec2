"""Operations that need several API calls: waiting, following, paging."""
