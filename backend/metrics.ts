/**
 * What the backend counts, in the text format of Prometheus (`GET /metrics` of the operator plane).
 *
 * Labels come from closed sets: planes, route templates, lanes, codes of the catalogue. Never an
 * identifier of a vehicle, an ECU or a sender: anybody could make as many series as they like.
 */
import { type IntervalHistogram, monitorEventLoopDelay } from 'node:perf_hooks';
import process from 'node:process';
import { Counter, Gauge, Histogram, Registry } from 'prom-client';

/** One set of counters a backend, so that several in one process do not mix. */
export class Metrics {
  readonly registry = new Registry();
  private readonly loopDelay: IntervalHistogram;

  readonly requestSeconds = this.histogram(
    'ota_http_request_duration_seconds',
    'From the first byte of a request to the last of its answer',
    ['plane', 'route', 'status'],
    [0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1, 5, 30],
  );
  readonly refusals = this.counter('ota_refusals_total', 'Refused requests by their code', [
    'plane',
    'code',
  ]);
  readonly connectionsRefused = this.counter(
    'ota_connections_refused_total',
    'Connections closed before their first byte was read',
    ['plane', 'limit'],
  );
  readonly connectionsBroken = this.counter(
    'ota_connections_broken_total',
    'Connections closed for what they sent before any request: no HTTP, headers too large or slow',
    ['plane', 'reason'],
  );
  readonly quotaRefused = this.counter(
    'ota_quota_refused_total',
    'Requests over a quota, by whose quota it is',
    ['scope'],
  );
  readonly shed = this.counter(
    'ota_admission_shed_total',
    'Requests answered 503, by lane and by what was full: the queue, or its delay budget',
    ['lane', 'reason'],
  );
  readonly queueSeconds = this.histogram(
    'ota_admission_queue_seconds',
    'How long admitted requests waited for their turn',
    ['lane'],
    [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1],
  );
  readonly queued = this.gauge('ota_admission_queued', 'Requests that wait for their turn', [
    'lane',
  ]);
  readonly active = this.gauge('ota_admission_active', 'Requests at work', ['lane']);
  readonly servedFromMemory = this.counter(
    'ota_served_from_memory_total',
    'Signed metadata answered from memory under overload',
    [],
  );
  readonly slowDownloads = this.counter(
    'ota_downloads_too_slow_total',
    'Downloads ended because their receiver took less than the least rate',
    [],
  );
  readonly signatures = this.counter(
    'ota_signatures_total',
    'Signatures made by online keys: plain ones, and one for each Merkle batch',
    ['form'],
  );
  readonly documentsSigned = this.counter(
    'ota_documents_signed_total',
    'Metadata documents signed, by the form of their signature',
    ['form'],
  );
  readonly verifications = this.counter(
    'ota_signature_verifications_total',
    'Signatures of ECUs verified, in this thread or by the pool',
    ['where'],
  );
  readonly manifests = this.counter(
    'ota_manifests_total',
    'Manifests judged, by what became of them',
    ['code'],
  );
  readonly doorbellConnections = this.gauge(
    'ota_doorbell_connections',
    'Vehicles that listen to the embedded broker',
    [],
  );
  readonly doorbellBroker = this.gauge(
    'ota_doorbell_broker_connected',
    'Whether the external broker is reached',
    [],
  );
  readonly doorbellRings = this.counter(
    'ota_doorbell_rings_total',
    'Doorbells by what became of them: nobody listened, the vehicle is revoked, the broker away',
    ['outcome'],
  );
  readonly doorbellRefused = this.counter(
    'ota_doorbell_refused_total',
    'What clients of the embedded broker were refused: the code, or what they tried',
    ['what'],
  );
  readonly commitItems = this.histogram(
    'ota_commit_group_size',
    'Manifests made durable by one commit',
    [],
    [1, 2, 4, 8, 16, 32, 64],
  );

  constructor() {
    this.loopDelay = monitorEventLoopDelay({ resolution: 20 });
    this.loopDelay.enable();
    const { loopDelay } = this;
    this.gauge('ota_event_loop_delay_seconds', 'Mean delay of the event loop', [], (gauge) => {
      gauge.set(Number.isFinite(loopDelay.mean) ? loopDelay.mean / 1e9 : 0);
      loopDelay.reset();
    });
    this.gauge('process_resident_memory_bytes', 'Resident memory', [], (gauge) => {
      gauge.set(process.memoryUsage.rss());
    });
    this.gauge('process_cpu_seconds_total', 'CPU time of all threads', [], (gauge) => {
      const { user, system } = process.cpuUsage();
      gauge.set((user + system) / 1e6);
    });
  }

  /** The value of a counter or gauge, summed over the series that have these labels; for tests. */
  async valueOf(name: string, labels: Readonly<Record<string, string>> = {}): Promise<number> {
    const metric = this.registry.getSingleMetric(name);
    if (metric === undefined) throw new Error(`no metric ${name}`);
    const { values } = await metric.get();
    return values
      .filter((one) =>
        Object.entries(labels).every(
          ([label, value]) => (one.labels as Record<string, unknown>)[label] === value,
        ),
      )
      .reduce((sum, { value }) => sum + value, 0);
  }

  close(): void {
    this.loopDelay.disable();
  }

  private counter<L extends string>(name: string, help: string, labelNames: L[]): Counter<L> {
    return new Counter({ name, help, labelNames, registers: [this.registry] });
  }

  private gauge<L extends string>(
    name: string,
    help: string,
    labelNames: L[],
    collect?: (gauge: Gauge<L>) => void,
  ): Gauge<L> {
    return new Gauge({
      name,
      help,
      labelNames,
      registers: [this.registry],
      ...(collect && {
        collect() {
          collect(this);
        },
      }),
    });
  }

  private histogram<L extends string>(
    name: string,
    help: string,
    labelNames: L[],
    buckets: number[],
  ): Histogram<L> {
    return new Histogram({ name, help, labelNames, buckets, registers: [this.registry] });
  }
}
