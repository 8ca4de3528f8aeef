package sqlstore

// The tables in each database. The column saved is for a job that deletes what was abandoned.
// Times are milliseconds since 1970.
const (
	// Two processes that start at once must not both make a table: IF NOT EXISTS looks first and
	// creates later.
	postgreSQLSchema = `
SELECT pg_advisory_xact_lock(3817234905);
CREATE TABLE IF NOT EXISTS bearer_records (
	name    text   COLLATE "C" PRIMARY KEY,
	data    bytea  NOT NULL,
	version bigint NOT NULL,
	saved   bigint NOT NULL
);
CREATE TABLE IF NOT EXISTS bearer_locks (
	name   text   COLLATE "C" PRIMARY KEY,
	holder text   NOT NULL,
	ends   bigint NOT NULL
);`

	sqliteSchema = `
CREATE TABLE IF NOT EXISTS bearer_records (
	name    text    PRIMARY KEY NOT NULL,
	data    blob    NOT NULL,
	version integer NOT NULL,
	saved   integer NOT NULL
);
CREATE TABLE IF NOT EXISTS bearer_locks (
	name   text    PRIMARY KEY NOT NULL,
	holder text    NOT NULL,
	ends   integer NOT NULL
);`
)
