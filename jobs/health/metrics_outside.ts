/** Metrics of what Weaver tells outside. */
import type { HeartbeatRow } from '../../db/walle/notice_rows.ts'
import type { ChannelHealth } from '../../db/walle/queries/notifications.ts'
import { type Family, gauge } from './metric_family.ts'

export function channelFamilies(channels: readonly ChannelHealth[]): Family[] {
  const each = (value: (one: ChannelHealth) => number | null) =>
    channels.flatMap((one) => {
      const found = value(one)
      return found === null ? [] : [{ labels: { channel: one.channel }, value: found }]
    })
  return [
    gauge(
      'weaver_notifications',
      'Messages by channel and state; to_send: waiting, failed: given up, held: summed up in another one',
      channels.flatMap(({ channel, counts }) =>
        Object.entries(counts).map(([state, value]) => ({ labels: { channel, state }, value })),
      ),
    ),
    gauge(
      'weaver_notifications_unsent_seconds',
      'Since when messages wait that could not be sent; 0: none does',
      each(({ failingSeconds }) => failingSeconds ?? 0),
    ),
    gauge(
      'weaver_notifications_sent_seconds',
      'Since the last message was taken',
      each(({ sentSeconds }) => sentSeconds),
    ),
  ]
}

export function heartbeatFamilies(row: HeartbeatRow | null, now: number): Family[] {
  const age = row?.beat_at ? (now - Date.parse(row.beat_at)) / 1000 : null
  return [
    gauge('weaver_heartbeat_seconds', 'Since WEAVER_HEARTBEAT_URL was last called and heard; missing: never', age),
    gauge(
      'weaver_heartbeat_missing',
      '1: it was not called or not heard when it last should have been',
      row === null ? null : Number(row.problem !== null),
    ),
  ]
}
