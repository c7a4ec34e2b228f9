#include "daemon/mirror/sql.h"


/*
 * A node's row is its lease, its place (seq) and its fence.  Whatever belongs
 * to a message stands in three tables by owner and id, and all of it moves from
 * owner to owner in one transaction.  A message is there when its row in
 * `message` is.
 *
 * Everything is found by its key, so that plans need no statistics: scans of
 * whole tables, and joins that read them, are switched off (sql_session).
 */

/* Of a row count: 1, or a division by zero. */
#define OR_UNDO(changed) "WITH u AS (" changed ") SELECT 1 / count(*) FROM u"

#define MS(ms) "(" ms " * interval '1 millisecond')"
#define BYTES_OF_M                                                             \
	"coalesce((SELECT sum(octet_length(c.data)) FROM content c"            \
	" WHERE c.owner = m.owner AND c.id = m.id), 0)::bigint"
#define HOLD_OF(which)                                                         \
	"(SELECT 'held at ' || n.name || ': ' || encode(h.data, 'escape')"     \
	" FROM hold h JOIN node n ON n.owner = h.owner"                        \
	" WHERE h.owner = $1 AND " which ")"
/* "*.example.com", which is above all that ends in ".example.com". */
#define IS_ABOVE                                                               \
	"h.domain >= '*.'::bytea AND h.domain < '*/'::bytea"                   \
	" AND octet_length(u.domain) >= octet_length(h.domain)"                \
	" AND substring(u.domain FROM 2 + octet_length(u.domain)"              \
	" - octet_length(h.domain)) = substring(h.domain FROM 2)"              \
	" ORDER BY octet_length(h.domain) DESC LIMIT 1"
#define IS_OVER                                                                \
	"(\"left\" OR given OR lease_until + " MS("lease_ms") " < now())"

/* clang-format off */
const struct sql sql_table[SQL_COUNT] = {
	[SQL_REGISTER] = { "register",
		"INSERT INTO node AS n (name, spool, version, lease_until,"
		" lease_ms, place) VALUES ($1, $2, $3,"
		" now() + " MS("$4") ", $4, $5)"
		" ON CONFLICT (name, spool) DO UPDATE SET fence = n.fence + 1,"
		" version = excluded.version,"
		" lease_until = excluded.lease_until,"
		" lease_ms = excluded.lease_ms,"
		" \"left\" = false, given = false, stopped = false,"
		" seen = now(),"
		" place = excluded.place"
		" WHERE n.place = excluded.place OR n.\"left\""
		" OR n.lease_until < now()"
		" RETURNING owner, fence, seq", "tttit" },
	[SQL_TOMBSTONES] = { "tombstones",
		"SELECT t.id, coalesce(n.name, ''), t.now_id FROM taken t"
		" LEFT JOIN node n ON n.owner = t.by_owner"
		" WHERE t.owner = $1 AND t.id > $2 ORDER BY t.id LIMIT $3",
		"iii" },
	[SQL_TOMBSTONES_READ] = { "tombstones_read",
		"DELETE FROM taken WHERE owner = $1 AND id = ANY($2)", "iI" },
	[SQL_READ_COUNT] = { "read_count",
		"UPDATE node SET taken = greatest(0, taken - $2)"
		" WHERE owner = $1", "ii" },
	[SQL_LAST_ID] = { "last_id",
		"SELECT greatest((SELECT max(id) FROM message WHERE owner = $1),"
		" (SELECT max(id) FROM content WHERE owner = $1), 0)", "i" },
	[SQL_FENCE] = { "fence", OR_UNDO(
		"UPDATE node SET seq = $3, lease_until = now() + " MS("$4") ","
		" lease_ms = $4, messages = $5, seen = now(), given = false"
		" WHERE owner = $1 AND fence = $2 AND seq < $3 RETURNING 1"),
		"iiiii" },
	[SQL_CATCH] = { "catch", OR_UNDO(
		"UPDATE node SET seq = greatest(seq, $3),"
		" lease_until = now() + " MS("$4") ","
		" lease_ms = $4, messages = $5, seen = now(), given = false"
		" WHERE owner = $1 AND fence = $2 RETURNING 1"), "iiiii" },
	[SQL_RENEW] = { "renew", OR_UNDO(
		"UPDATE node SET lease_until = now() + " MS("$3") ","
		" lease_ms = $3, messages = $4, seen = now(), given = false"
		" WHERE owner = $1 AND fence = $2 RETURNING 1"), "iiii" },
	[SQL_GONE_MESSAGE] = { "gone_message",
		"DELETE FROM message WHERE owner = $1 AND id = ANY($2)", "iI" },
	[SQL_GONE_UNIT] = { "gone_unit",
		"DELETE FROM unit WHERE owner = $1 AND id = ANY($2)", "iI" },
	[SQL_GONE_CONTENT] = { "gone_content",
		"DELETE FROM content WHERE owner = $1 AND id = ANY($2)", "iI" },
	[SQL_UNIT_GONE] = { "unit_gone",
		"DELETE FROM unit u USING unnest($2, $3) AS g(id, domain)"
		" WHERE u.owner = $1 AND u.id = g.id AND u.domain = g.domain",
		"iIB" },
	[SQL_DRAFT_GONE] = { "draft_gone",
		"DELETE FROM content c WHERE owner = $1 AND id = ANY($2)"
		" AND NOT EXISTS (SELECT FROM message m"
		" WHERE m.owner = c.owner AND m.id = c.id)", "iI" },
	[SQL_CONTENT] = { "content",
		"INSERT INTO content (owner, id, at, data)"
		" SELECT $1, r.* FROM unnest($2, $3, $4) AS r"
		" ON CONFLICT (owner, id, at) DO UPDATE SET"
		" data = excluded.data", "iIIB" },
	[SQL_MESSAGE] = { "message",
		"INSERT INTO message (owner, id, data)"
		" SELECT $1, r.* FROM unnest($2, $3) AS r"
		" ON CONFLICT (owner, id) DO UPDATE SET data = excluded.data,"
		" incoming = false", "iIB" },
	[SQL_UNIT] = { "unit",
		"INSERT INTO unit (owner, id, domain, state, data)"
		" SELECT $1, r.* FROM unnest($2, $3, $4, $5) AS r"
		" ON CONFLICT (owner, id, domain) DO UPDATE SET"
		" state = excluded.state, data = excluded.data", "iIBBB" },
	[SQL_HOLD_GONE] = { "hold_gone",
		"DELETE FROM hold WHERE owner = $1 AND domain = ANY($2)",
		"iB" },
	[SQL_HOLD] = { "hold",
		"INSERT INTO hold (owner, domain, data)"
		" SELECT $1, r.* FROM unnest($2, $3) AS r"
		" ON CONFLICT (owner, domain) DO UPDATE SET"
		" data = excluded.data", "iBB" },
	[SQL_PAGE] = { "page",
		"SELECT m.id, m.incoming,"
		" (SELECT substring(sha256(string_agg(u.state || u.data,"
		" ''::bytea ORDER BY u.domain)) FOR 8) FROM unit u"
		" WHERE u.owner = m.owner AND u.id = m.id)"
		" FROM message m WHERE m.owner = $1 AND m.id > $2"
		" ORDER BY m.id LIMIT $3", "iii" },
	[SQL_HOLDS] = { "holds",
		"SELECT domain FROM hold WHERE owner = $1 ORDER BY domain",
		"i" },
	[SQL_OURS_AGAIN] = { "ours_again",
		"UPDATE message SET incoming = true WHERE owner = $1"
		" AND id = ANY($3) AND EXISTS (SELECT FROM node n"
		" WHERE n.owner = $1 AND n.fence = $2)", "iiI" },
	[SQL_ORPHANS] = { "orphans",
		"DELETE FROM content c WHERE c.owner = $1 AND c.id > $2"
		" AND c.id <= $3 AND NOT EXISTS (SELECT FROM message m WHERE m.owner = c.owner"
		" AND m.id = c.id)", "iii" },
	[SQL_LEAVE] = { "leave", OR_UNDO(
		"UPDATE node SET \"left\" = true, lease_until = now(),"
		" seen = now()"
		" WHERE owner = $1 AND fence = $2 RETURNING 1"), "ii" },

	[SQL_STOP] = { "stop",
		"UPDATE node n SET stopped = true, messages = 0,"
		" lease_until = now() WHERE owner = $1 AND fence = $2"
		" AND NOT EXISTS (SELECT FROM message m"
		" WHERE m.owner = n.owner)", "ii" },

	[SQL_UNFREEZE] = { "unfreeze",
		"SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
		" WHERE usename = current_user AND pid <> pg_backend_pid()"
		" AND application_name LIKE 'mx20 %'"
		" AND now() - xact_start > " MS("greatest(2 * $1, 10000)"),
		"i" },
	[SQL_NODES] = { "nodes",
		"SELECT owner, name, version, \"left\", given,"
		" (extract(epoch FROM lease_until - now()) * 1000)::bigint,"
		" lease_ms, (extract(epoch FROM seen) * 1000)::bigint,"
		" messages, taken, taken_by, is_over, has_mail, stopped FROM ("
		"SELECT n.*, " IS_OVER " AS is_over,"
		" EXISTS (SELECT FROM message m WHERE m.owner = n.owner)"
		" AS has_mail FROM node n"
		/* a disk that was replaced, and has nothing any more */
		" WHERE seen > now() - interval '1 day' OR NOT EXISTS"
		" (SELECT FROM node o WHERE o.name = n.name"
		" AND o.owner <> n.owner AND o.lease_until > now()) OR EXISTS"
		" (SELECT FROM message m WHERE m.owner = n.owner)"
		" ORDER BY has_mail DESC, seen DESC LIMIT 64) AS n"
		" ORDER BY name, owner", "" },
	[SQL_VICTIM_IDS] = { "victim_ids",
		"SELECT m.id, " BYTES_OF_M " FROM message m"
		" WHERE m.owner = $1 AND m.id > $2 ORDER BY m.id LIMIT $3",
		"iii" },
	[SQL_STAND] = { "stand",
		"SELECT 1 / count(*) FROM node WHERE owner = $1 AND fence = $2"
		" AND lease_until > now()", "ii" },
	[SQL_VICTIM] = { "victim", OR_UNDO(
		"UPDATE node SET fence = fence + 1,"
		" messages = greatest(0, messages - $2), taken = taken + $2,"
		" taken_by = $3 WHERE owner = $1 AND " IS_OVER " RETURNING 1"),
		"iit" },
	[SQL_MOVE_UNIT] = { "move_unit",
		"UPDATE unit u SET owner = $2, id = map.new, held = coalesce("
		HOLD_OF("h.domain = u.domain") ", " HOLD_OF(IS_ABOVE)
		", u.held)"
		" FROM unnest($3, $4) AS map(old, new)"
		" WHERE u.owner = $1 AND u.id = map.old", "iiII" },
	[SQL_MOVE_CONTENT] = { "move_content",
		"UPDATE content c SET owner = $2, id = map.new"
		" FROM unnest($3, $4) AS map(old, new)"
		" WHERE c.owner = $1 AND c.id = map.old", "iiII" },
	[SQL_MOVE_MESSAGE] = { "move_message",
		"WITH moved AS (UPDATE message m SET owner = $2, id = map.new,"
		" incoming = true,"
		/* what its client has heard, however often it moves */
		" was = CASE m.was WHEN 0 THEN m.id ELSE m.was END,"
		" was_node = CASE m.was WHEN 0 THEN"
		" (SELECT name FROM node WHERE owner = $1)"
		" ELSE m.was_node END"
		" FROM unnest($3, $4) AS map(old, new)"
		" WHERE m.owner = $1 AND m.id = map.old"
		" RETURNING map.old, map.new)"
		" INSERT INTO taken (owner, id, by_owner, now_id)"
		" SELECT $1, old, $2, new FROM moved ON CONFLICT DO NOTHING",
		"iiII" },
	[SQL_VICTIM_REST] = { "victim_rest",
		"WITH c AS (DELETE FROM content WHERE owner = $1),"
		" u AS (DELETE FROM unit WHERE owner = $1)"
		" UPDATE node SET messages = 0 WHERE owner = $1", "i" },
	[SQL_INCOMING] = { "incoming",
		"SELECT m.id, " BYTES_OF_M " FROM message m"
		" WHERE m.owner = $1 AND m.incoming"
		" AND m.id > $2 ORDER BY m.id LIMIT $3", "iii" },
	[SQL_MESSAGES_OF] = { "messages_of",
		"SELECT id, data, was, was_node FROM message"
		" WHERE owner = $1 AND id = ANY($2) AND incoming"
		" ORDER BY id", "iI" },
	[SQL_UNITS_OF] = { "units_of",
		"SELECT id, domain, state, data, held FROM unit"
		" WHERE owner = $1 AND id = ANY($2) ORDER BY id, domain",
		"iI" },
	[SQL_CONTENT_OF] = { "content_of",
		"SELECT id, at, data FROM content"
		" WHERE owner = $1 AND id = ANY($2) ORDER BY id, at", "iI" },
	[SQL_CONTENT_NEXT] = { "content_next",
		"SELECT at, data FROM content WHERE owner = $1 AND id = $2"
		" AND at > $3 ORDER BY at LIMIT $4", "iiii" },
	[SQL_GIVE] = { "give",
		"WITH g AS (UPDATE node SET given = true WHERE name = $1"
		" AND owner <> $2 AND lease_until < now())"
		" SELECT owner, greatest(0, extract(epoch FROM"
		" lease_until - now()) * 1000)::bigint, messages"
		" FROM node WHERE name = $1 AND owner <> $2", "ti" },
	[SQL_OLD_TOMBSTONES] = { "old_tombstones",
		"DELETE FROM taken WHERE at < now() - interval '90 days'", "" },
	[SQL_OLD_NODES] = { "old_nodes",
		"WITH gone AS (DELETE FROM node n"
		" WHERE (seen < now() - interval '7 days'"
		" OR ((stopped OR \"left\")"
		" AND seen < now() - interval '1 day'))"
		" AND NOT EXISTS (SELECT FROM message m"
		" WHERE m.owner = n.owner)"
		" AND NOT EXISTS (SELECT FROM taken t"
		" WHERE n.owner IN (t.owner, t.by_owner)) RETURNING owner),"
		" c AS (DELETE FROM content c USING gone g"
		" WHERE c.owner = g.owner)"
		" DELETE FROM hold h USING gone g WHERE h.owner = g.owner",
		"" },
};

/*
 * In the schema mx20 if the role may make tables there, else in its first.
 * synchronous_commit = off would be a promise that is not kept.  Keepalives:
 * the server lets go of what a node that is gone had locked.
 */
const char sql_session[] =
	"SELECT set_config('search_path', quote_ident(coalesce((SELECT nspname"
	" FROM pg_namespace WHERE nspname = 'mx20'"
	" AND has_schema_privilege(oid, 'CREATE')), current_schema())), false),"
	" set_config('synchronous_commit',"
	" CASE current_setting('synchronous_commit') WHEN 'off' THEN 'on'"
	" ELSE current_setting('synchronous_commit') END, false),"
	" set_config('enable_seqscan', 'off', false),"
	" set_config('enable_hashjoin', 'off', false),"
	" set_config('enable_mergejoin', 'off', false),"
	" set_config('plan_cache_mode', 'force_generic_plan', false),"
	" set_config('jit', 'off', false),"
	" set_config('client_min_messages', 'warning', false),"
	" set_config('default_transaction_isolation', 'read committed', false),"
	" set_config('idle_in_transaction_session_timeout', '60s', false),"
	" set_config('tcp_keepalives_idle', '10', false),"
	" set_config('tcp_keepalives_interval', '5', false),"
	" set_config('tcp_keepalives_count', '3', false),"
	" coalesce(current_setting('synchronous_standby_names'), ''),"
	" current_setting('synchronous_commit'), current_setting('fsync')";

/* A transaction that whoever sends it ends: nobody sees half of it. */
const char sql_schema[] =
	"BEGIN;"
	"SELECT pg_advisory_xact_lock("
	" hashtextextended('mx20 ' || current_schema(), 0));"
	"CREATE TABLE IF NOT EXISTS mx20_version (version int NOT NULL);"
	"CREATE TABLE IF NOT EXISTS node ("
	" owner bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,"
	" name text NOT NULL, spool text NOT NULL, version text NOT NULL,"
	" place text NOT NULL DEFAULT '',"
	" fence bigint NOT NULL DEFAULT 1,"
	" lease_until timestamptz NOT NULL, lease_ms bigint NOT NULL,"
	" seq bigint NOT NULL DEFAULT -1, messages bigint NOT NULL DEFAULT 0,"
	" taken bigint NOT NULL DEFAULT 0, taken_by text NOT NULL DEFAULT '',"
	" \"left\" bool NOT NULL DEFAULT false,"
	" given bool NOT NULL DEFAULT false,"
	" stopped bool NOT NULL DEFAULT false,"
	" seen timestamptz NOT NULL DEFAULT now(),"
	" UNIQUE (name, spool)) WITH (fillfactor = 20,"
	" autovacuum_vacuum_scale_factor = 0,"
	" autovacuum_vacuum_threshold = 5000);"
	"CREATE TABLE IF NOT EXISTS message ("
	" owner bigint NOT NULL, id bigint NOT NULL,"
	" incoming bool NOT NULL DEFAULT false, data bytea NOT NULL,"
	" was bigint NOT NULL DEFAULT 0, was_node text NOT NULL DEFAULT '',"
	" PRIMARY KEY (owner, id)) PARTITION BY RANGE (id);"
	"CREATE INDEX IF NOT EXISTS message_incoming ON message (owner, id)"
	" WHERE incoming;"
	"CREATE TABLE IF NOT EXISTS unit ("
	" owner bigint NOT NULL, id bigint NOT NULL, domain bytea NOT NULL,"
	" state bytea NOT NULL, data bytea NOT NULL,"
	" held text NOT NULL DEFAULT '',"
	" PRIMARY KEY (owner, id, domain)) PARTITION BY RANGE (id);"
	"CREATE TABLE IF NOT EXISTS content ("
	" owner bigint NOT NULL, id bigint NOT NULL, at bigint NOT NULL,"
	" data bytea NOT NULL,"
	" PRIMARY KEY (owner, id, at)) PARTITION BY RANGE (id);"
	"ALTER TABLE content ALTER data SET STORAGE EXTERNAL;"
	"CREATE TABLE IF NOT EXISTS message_rest PARTITION OF message DEFAULT;"
	"CREATE TABLE IF NOT EXISTS unit_rest PARTITION OF unit DEFAULT;"
	"CREATE TABLE IF NOT EXISTS content_rest PARTITION OF content DEFAULT;"
	"CREATE TABLE IF NOT EXISTS hold ("
	" owner bigint NOT NULL, domain bytea NOT NULL, data bytea NOT NULL,"
	" PRIMARY KEY (owner, domain));"
	"CREATE TABLE IF NOT EXISTS taken ("
	" owner bigint NOT NULL, id bigint NOT NULL, by_owner bigint NOT NULL,"
	" now_id bigint NOT NULL DEFAULT 0,"
	" at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (owner, id));"
	"INSERT INTO mx20_version SELECT 1"
	" WHERE NOT EXISTS (SELECT FROM mx20_version)";
/* clang-format on */

_Static_assert(SQL_SCHEMA == 1, "an upgrade is due in schema.c");
