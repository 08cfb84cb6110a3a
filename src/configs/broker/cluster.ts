import { boolean, int, list, long, string } from '../definition.ts'
import { noMetrics, noQuotas, oneNode, oneProcess, ownMetadata } from './reasons.ts'

/** A broker's life in a cluster, its controllers, and metrics. */
export const cluster = () => ({
  'broker.heartbeat.interval.ms': int(
    2000,
    {},
    oneProcess('Milliseconds between two signs of life that a broker sends to the controller.'),
  ),
  'config.providers': list(
    '',
    'Names of sources of values. No effect here: a reference to one is taken as it stands.',
    { update: 'cluster-wide' },
  ),
  'controlled.shutdown.enable': boolean(
    true,
    oneNode('Whether a broker hands its leaderships over before it stops. It always does.'),
  ),
  'controller.quorum.append.linger.ms': int(
    25,
    { min: 0 },
    oneProcess('Milliseconds that metadata waits for more before it is flushed.'),
  ),
  'controller.quorum.auto.join.enable': boolean(
    false,
    oneProcess('Whether a new controller becomes a voter by itself.'),
  ),
  'controller.quorum.election.backoff.max.ms': int(
    1000,
    { min: 0 },
    oneProcess('Longest wait of a controller before it stands for election again, in ms.'),
  ),
  'controller.quorum.election.timeout.ms': int(
    1000,
    { min: 0 },
    oneProcess('Milliseconds without a leader after which a controller calls an election.'),
  ),
  'controller.quorum.fetch.max.bytes': int(
    1_048_576,
    { min: 1 },
    oneProcess('Metadata bytes that a follower fetches at once.'),
  ),
  'controller.quorum.fetch.snapshot.max.bytes': int(
    1_048_576,
    { min: 1 },
    oneProcess('Bytes of a metadata snapshot that are fetched at once.'),
  ),
  'controller.quorum.fetch.timeout.ms': int(
    2000,
    { min: 0 },
    oneProcess(
      'Milliseconds without a successful fetch after which a follower calls an election, or a leader resigns.',
    ),
  ),
  'controller.quorum.request.timeout.ms': int(
    2000,
    { min: 0 },
    oneProcess('Milliseconds that a controller waits for an answer of another.'),
  ),
  'controller.quorum.retry.backoff.ms': int(
    20,
    { min: 0 },
    oneProcess('Milliseconds before a controller asks again after a failure.'),
  ),
  'controller.quota.window.num': int(
    11,
    { min: 1 },
    noQuotas('Samples that the rate of topic changes is measured over.'),
  ),
  'controller.quota.window.size.seconds': int(
    1,
    { min: 1 },
    noQuotas('Seconds of one sample of the rate of topic changes.'),
  ),
  'controller.socket.timeout.ms': int(
    30_000,
    {},
    oneProcess(
      'Milliseconds without traffic that a broker bears on its connection to the controller.',
    ),
  ),
  'initial.broker.registration.timeout.ms': int(
    60_000,
    {},
    oneProcess('Milliseconds in which a starting broker must be accepted by the controller.'),
  ),
  'metadata.log.dir': string(
    null,
    'Directory of the metadata, if not the first of log.dirs. No effect here: it is in the data directory.',
  ),
  'metadata.log.max.record.bytes.between.snapshots': long(
    20_971_520,
    { min: 1 },
    ownMetadata('Bytes of metadata after which a snapshot is made.'),
  ),
  'metadata.log.max.snapshot.interval.ms': long(
    3_600_000,
    { min: 0 },
    ownMetadata('Milliseconds after which a snapshot of the metadata is made.'),
  ),
  'metadata.log.segment.bytes': int(
    1_073_741_824,
    { min: 8_388_608 },
    ownMetadata('Bytes after which metadata goes on in a new file.'),
  ),
  'metadata.log.segment.ms': long(
    604_800_000,
    {},
    ownMetadata('Milliseconds after which metadata goes on in a new file.'),
  ),
  'metadata.max.idle.interval.ms': int(
    500,
    { min: 0 },
    oneProcess('Milliseconds between two empty records that show an idle controller to be alive.'),
  ),
  'metadata.max.retention.bytes': long(
    104_857_600,
    {},
    ownMetadata('Bytes of old metadata and snapshots that are kept.'),
  ),
  'metadata.max.retention.ms': long(
    604_800_000,
    {},
    ownMetadata('Milliseconds for which old metadata and snapshots are kept.'),
  ),
  'request.timeout.ms': int(
    30_000,
    {},
    oneNode('Milliseconds that a broker waits for an answer of another or of the controller.'),
  ),
  'kafka.metrics.polling.interval.secs': int(
    10,
    { min: 1 },
    noMetrics('Seconds between two looks of the reporters at the metrics.'),
  ),
  'kafka.metrics.reporters': list('', noMetrics('Classes that report the older kind of metrics.')),
  'metric.reporters': list(
    'org.apache.kafka.common.metrics.JmxReporter',
    noMetrics('Classes that report metrics.'),
    { update: 'cluster-wide' },
  ),
  'metrics.num.samples': int(2, { min: 1 }, noMetrics('Samples that a metric is computed from.')),
  'metrics.recording.level': string('INFO', noMetrics('How much is measured.')),
  'metrics.sample.window.ms': long(
    30_000,
    { min: 1 },
    noMetrics('Milliseconds of one sample of a metric.'),
  ),
  'telemetry.max.bytes': int(
    1_048_576,
    { min: 1 },
    'Bytes of metrics that a client may push at once. No effect here: no metrics of clients are collected.',
  ),
})
