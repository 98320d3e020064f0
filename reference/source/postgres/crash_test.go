package postgres

const writerEnv = "CACHEDRILL_PG_WRITER"

func writeUntilKilled() {}
