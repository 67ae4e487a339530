import { expect, test } from '@jest/globals';
import { bare, SliceLab, trigger } from './a-slice.ts';

/** What came, as `PUT /lists/7/members/1`, in order. */
const targets = (lab: SliceLab) => lab.receiver.ledger.entries.map(({ target }) => target);

test('an ordinary REST API is driven directly: PUT on enter, DELETE on exit, in the order of each person', async () => {
  const lab = await SliceLab.open({ keepBodies: true });
  lab.source.setProfile('1', { email: 'ann@example.com' });
  const webhookUrl = `${lab.receiver.url}lists/7/members/{{ id }}`;
  const request = {
    label: 'CRM',
    method: 'PUT' as const,
    body: '{"email": {{ data.email | json }}}',
    onExit: { method: 'DELETE' as const, body: '' },
  };
  const report = await lab.deliver([bare('1'), trigger('1', { event: 'exit' })], { settings: { webhookUrl, request } });
  expect(report).toMatchObject({ failed: [], unsent: [] });
  expect(targets(lab)).toEqual(['PUT /lists/7/members/1', 'DELETE /lists/7/members/1']);
  expect(lab.receiver.ledger.entries.map(({ body }) => body)).toEqual(['{"email": "ann@example.com"}', '']);
});

test('each event goes to its own URL', async () => {
  const lab = await SliceLab.open();
  const other = await SliceLab.open();
  const request = { label: 'CRM', onExit: { webhookUrl: other.receiver.url } };
  await lab.deliver([trigger('1'), trigger('2', { event: 'exit' })], { settings: { request } });
  expect([lab.arrived, other.arrived]).toEqual([['1'], ['2']]);
});

test('[S21] no event is sent to an origin that the authorization is not for', async () => {
  const lab = await SliceLab.open();
  const request = { label: 'CRM', onExit: { webhookUrl: lab.receiver.url } };
  const settings = { webhookUrl: 'https://a.example/', authorization: 'elsewhere', request };
  const report = await lab.deliver([trigger('1', { event: 'exit' })], { settings });
  expect(report.failed).toMatchObject([{ code: 'AUTHORIZATION_ELSEWHERE' }]);
  expect(lab.arrived).toEqual([]);
});

test('whoever a template skips, or fails for, is reported with the reason, and nobody else is held up', async () => {
  const lab = await SliceLab.open();
  const request = {
    label: 'CRM',
    body: '{% unless data.email %}{% skip "no mail" %}{% endunless %}{"email": {{ data.email }}}',
  };
  const report = await lab.deliver(
    [trigger('1'), trigger('2', { profile: '{"email":"no JSON"}' }), trigger('3', { profile: '{"email":3}' })],
    { settings: { request } },
  );
  expect(report).toMatchObject({
    failed: [
      { index: 0, code: 'SKIPPED', answer: 'no mail', durationMs: 0 },
      {
        index: 1,
        code: 'TEMPLATE_FAILED',
        answer: expect.stringMatching(/^body: the rendered body is not valid JSON/),
      },
    ],
    unsent: [],
  });
  expect(targets(lab)).toEqual(['POST /']);
});

test('[S22] an answer that repeats the path which a template made is kept without it', async () => {
  const lab = await SliceLab.open({
    answer: () => ({ status: 422, body: 'no /lists/t0kent0kent0ken/ann@example.com' }),
  });
  const webhookUrl = `${lab.receiver.url}lists/t0kent0kent0ken/{{ id }}`;
  const report = await lab.deliver([trigger('ann@example.com')], {
    settings: { webhookUrl, request: { label: 'CRM' } },
  });
  expect(report.failed[0]?.answer).not.toContain('t0ken');
});
