/** `weaver notify test`: a message on every channel, now and once each, and what came of it. Without the database. */
import { wallClock } from '../glados/clock.ts'
import { type Channel, createChannels, type Message } from '../notify/channels.ts'
import { type CliContext, CliError } from './context.ts'

export async function notifyTestCommand(context: CliContext): Promise<number> {
  const channels = createChannels(context.config.notify, wallClock.now)
  if (channels.length === 0) {
    throw new CliError(
      'no channel is set: WEAVER_WEBHOOK_URL, WEAVER_TELEGRAM_BOT_TOKEN with WEAVER_TELEGRAM_CHAT_ID, or WEAVER_SMTP_URL ' +
        'with WEAVER_MAIL_FROM and WEAVER_MAIL_TO (see .env.example)',
    )
  }
  const went = await Promise.all(channels.map((channel) => tried(context, channel)))
  return went.every((well) => well) ? 0 : 1
}

async function tried(context: CliContext, channel: Channel): Promise<boolean> {
  const began = wallClock.now()
  try {
    await channel.send(aMessage())
    context.print(`ok    ${channel.name}: taken in ${wallClock.now() - began} ms (${channel.target})`)
    return true
  } catch (error) {
    context.print(`FAIL  ${error instanceof Error ? error.message : String(error)} (${channel.target})`)
    return false
  }
}

function aMessage(): Message {
  return {
    id: wallClock.newId(),
    kind: 'test',
    type: 'notify.Test',
    level: 'info',
    title: 'Weaver can reach you',
    text: 'This is a test: nothing has happened.',
    run_id: null,
    order_id: null,
    mode: null,
    ts: new Date(wallClock.now()).toISOString(),
    url: null,
  }
}
