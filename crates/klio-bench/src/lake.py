# The questions of lake.rs as DuckDB answers them from the same Parquet files: CPU time of all threads, warm median.
import json, os, statistics, sys, time
import duckdb

events, out, runs, names = sys.argv[1], sys.argv[2], int(sys.argv[3]), json.loads(sys.argv[4])
db = duckdb.connect()
db.execute("SET enable_progress_bar = false")
table = f"read_parquet('{events}/*/*/*.parquet', hive_partitioning = true)"
db.execute(f"CREATE VIEW events AS SELECT * FROM {table}")
# Times as numbers: Python's need a module that may not be there.
number = "SELECT audit_id, user_name, epoch_us(time) FROM events WHERE verb = 'delete' ORDER BY time LIMIT 1 OFFSET 499"
audit_id, user, begin = db.execute(number).fetchone()
ask = {
    "an event by its audit id": (f"SELECT raw FROM events WHERE audit_id = '{audit_id}'",),
    "one user's hour, full records": (
        "SELECT raw FROM events WHERE user_name = ? AND time >= make_timestamptz(?) AND time < make_timestamptz(?)",
        [user, begin, begin + 3_600_000_000],
    ),
    "top 20 by status": ("SELECT code, count(*) AS n FROM events GROUP BY code ORDER BY n DESC LIMIT 20",),
    "events per minute": ("SELECT epoch_us(date_trunc('minute', time)) AS t, count(*) FROM events GROUP BY t",),
    "distinct user, resource, verb": ("SELECT DISTINCT user_name, resource, verb FROM events",),
    "a text inside words of the record": ("SELECT raw FROM events WHERE contains(raw, 'payments-api-7')",),
}
ms = {}
for name in names:
    if name not in ask:
        continue
    times = []
    for run in range(runs + 1):
        before = time.process_time()
        db.execute(*ask[name]).fetchall()
        times.append((time.process_time() - before) * 1e3)
    ms[name] = statistics.median(times[1:])
db.execute(f"COPY (SELECT * FROM events) TO '{out}' (FORMAT parquet, COMPRESSION zstd)")
readers = {"DuckDB": db.execute("SELECT count(*) FROM events").fetchone()[0]}
try:
    import deltalake

    files = deltalake.DeltaTable(events).file_uris()
    readers["deltalake"] = db.execute("SELECT count(*) FROM read_parquet(?)", [files]).fetchone()[0]
except ImportError:
    pass
print(json.dumps({"ms": ms, "bytes": os.path.getsize(out), "readers": readers}))
