// What osls leaves out of the API's deployment. Its logical name is another with each deployment, and only code can
// write a name that is not known before.
//
// A deployment is a copy of the API as it is then: it has to wait for the gateway's own responses. And it makes no
// stage: infra/api.yml does, since CloudFormation changes no setting of a stage that came with a deployment.
'use strict';

module.exports = async ({ resolveVariable }) => {
  const resources = await resolveVariable('file(infra/api.yml):Resources');
  const responses = Object.keys(resources).filter((name) => resources[name].Type === 'AWS::ApiGateway::GatewayResponse');
  const deployment = `ApiGatewayDeployment${await resolveVariable('sls:instanceId')}`;
  return { [deployment]: { DependsOn: responses, Properties: { StageName: null } } };
};
